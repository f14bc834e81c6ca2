#include "rootfs/formats/distribution.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/walls.h"
#include "rootfs/formats/wheel_name.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kDistributionNameLimit = 128;
constexpr size_t kVersionLimit = 128;
constexpr size_t kUrlLimit = 4096;

bool IsAlnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsSeparator(char c) { return c == '-' || c == '_' || c == '.'; }

// Reads a version from the left, in the grammar of PEP 440's appendix B.
class VersionReader {
 public:
  explicit VersionReader(std::string_view text) : rest_(text) {}

  std::string Read() {
    std::string epoch;
    if (rest_.starts_with('v')) rest_.remove_prefix(1);
    if (const size_t mark = rest_.find('!'); mark != rest_.npos) {
      epoch = Number();
      if (!Skip('!')) return {};
    }
    std::string canonical = Release();
    if (canonical.empty()) return {};
    if (!epoch.empty() && epoch != "0") canonical = epoch + "!" + canonical;
    canonical += Tagged({{"alpha", "a"},
                         {"beta", "b"},
                         {"preview", "rc"},
                         {"pre", "rc"},
                         {"rc", "rc"},
                         {"a", "a"},
                         {"b", "b"},
                         {"c", "rc"}});
    canonical += Post();
    canonical += Tagged({{"dev", ".dev"}});
    canonical += Local();
    return rest_.empty() ? canonical : std::string();
  }

 private:
  struct Tag {
    std::string_view spelling;
    std::string_view canonical;
  };

  bool Skip(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // Digits without leading zeros; empty when there are none.
  std::string Number() {
    size_t end = 0;
    while (end < rest_.size() && IsDigit(rest_[end])) ++end;
    if (end == 0) return {};
    std::string_view digits = rest_.substr(0, end);
    rest_.remove_prefix(end);
    while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
    return std::string(digits);
  }

  std::string Release() {
    std::vector<std::string> parts{Number()};
    while (!parts.back().empty() && rest_.size() > 1 && rest_[0] == '.' && IsDigit(rest_[1])) {
      rest_.remove_prefix(1);
      parts.push_back(Number());
    }
    while (parts.size() > 1 && parts.back() == "0") parts.pop_back();
    return base::Join(parts, ".");
  }

  std::string Tagged(std::initializer_list<Tag> tags) {
    std::string_view after = rest_;
    if (!after.empty() && IsSeparator(after.front())) after.remove_prefix(1);
    for (const Tag& tag : tags) {
      if (!after.starts_with(tag.spelling)) continue;
      rest_ = after.substr(tag.spelling.size());
      if (rest_.size() > 1 && IsSeparator(rest_[0]) && IsDigit(rest_[1])) rest_.remove_prefix(1);
      const std::string number = Number();
      return std::string(tag.canonical) + (number.empty() ? "0" : number);
    }
    return {};
  }

  std::string Post() {
    if (rest_.size() > 1 && rest_[0] == '-' && IsDigit(rest_[1])) {
      rest_.remove_prefix(1);
      return ".post" + Number();
    }
    return Tagged({{"post", ".post"}, {"rev", ".post"}, {"r", ".post"}});
  }

  std::string Local() {
    if (!Skip('+')) return {};
    std::string local = "+";
    for (const char c : rest_) local += IsSeparator(c) ? '.' : c;
    rest_ = {};
    return local;
  }

  std::string_view rest_;
};

bool IsVersionText(std::string_view version) {
  return !version.empty() && version.size() <= kVersionLimit &&
         std::all_of(version.begin(), version.end(),
                     [](char c) { return IsAlnum(c) || IsSeparator(c) || c == '+' || c == '!'; });
}

// Why it is refused; empty: it is not.
std::string WrongInSource(const Source& source) {
  if (!IsFetchableUrl(source.url)) return "the URL of its source is no plain http or https URL";
  if (!IsArchiveName(source.filename)) return "its source is no archive";
  const bool git = source.kind == Source::Kind::kGit;
  if (git != IsCommit(source.commit)) return "its source's commit is none";
  return {};
}

}  // namespace

bool IsArchiveName(std::string_view name) {
  return base::IsPlainRelative(std::string(name)) && name.find('/') == name.npos &&
         name.size() < 250 &&
         (name.ends_with(".tar.gz") || name.ends_with(".tar") || name.ends_with(".zip")) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return IsAlnum(c) || IsSeparator(c) || c == '+' || c == '!'; });
}

bool IsCommit(std::string_view text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool IsFetchableUrl(std::string_view url) {
  if (url.size() > kUrlLimit || !(url.starts_with("https://") || url.starts_with("http://")))
    return false;
  if (std::any_of(url.begin(), url.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte <= 0x20 || byte >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>';
      })) {
    return false;
  }
  const std::string_view rest = url.substr(url.find("//") + 2);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  return !authority.empty() && authority.find('@') == authority.npos;
}

std::string NormaliseName(std::string_view name) {
  std::string normal;
  for (const char c : base::LowerCase(name)) {
    if (!IsSeparator(c)) {
      normal += c;
    } else if (normal.empty() || normal.back() != '-') {
      normal += '-';
    }
  }
  return normal;
}

bool IsProjectName(std::string_view name) {
  return !name.empty() && name.size() <= kDistributionNameLimit && IsAlnum(name.front()) &&
         IsAlnum(name.back()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return IsAlnum(c) || IsSeparator(c); });
}

std::string CanonicalVersion(std::string_view version) {
  const std::string lower = base::LowerCase(base::Trim(version));
  const std::string canonical = VersionReader(lower).Read();
  return canonical.empty() ? lower : canonical;
}

std::string Distribution::WheelKey() const {
  if (!realm.has_value() || !base::Holds(base::Wall::kRealms)) return sha256.hex();
  base::Sha256 hash;
  hash.AddField("wheel of a realm");
  hash.AddField(sha256.hex());
  hash.AddField(realm->digest.hex());
  return hash.Finish().hex();
}

void CheckDistribution(const Distribution& distribution) {
  const auto refuse = [&](std::string cause) {
    throw base::Error(base::Fault::kInvalid, fmt::format("checking locked package `{}`",
                                                         base::Printable(distribution.Label())))
        .Because(std::move(cause));
  };
  if (!IsProjectName(distribution.name) || NormaliseName(distribution.name) != distribution.name) {
    refuse("its name is not a normalised project name");
  }
  if (!IsVersionText(distribution.version)) refuse("its version is not a version");
  if (!distribution.url.empty() && !IsFetchableUrl(distribution.url)) {
    refuse(fmt::format("its URL `{}` is not a plain http or https URL",
                       base::Printable(distribution.url)));
  }
  const WheelName wheel = ParseWheelName(distribution.filename);
  if (wheel.name != distribution.name) {
    refuse(fmt::format("its file `{}` is of another project", distribution.filename));
  }
  if (CanonicalVersion(wheel.version) != CanonicalVersion(distribution.version)) {
    refuse(fmt::format("its file `{}` is of another version", distribution.filename));
  }
  if (distribution.source.has_value()) {
    if (std::string cause = WrongInSource(*distribution.source); !cause.empty())
      refuse(std::move(cause));
  }
}

}  // namespace rundlet::rootfs
