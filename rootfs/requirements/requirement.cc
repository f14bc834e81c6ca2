#include "rootfs/requirements/requirement.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "base/text.h"
#include "base/url.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/formats/wheel_name.h"
#include "rootfs/net/fetch.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kTextLimit = 2000;

[[noreturn]] void RefuseRequirement(std::string_view text, std::string cause,
                                    std::string hint = {}) {
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("reading requirement `{}`", base::Printable(text.substr(0, 200))))
      .Because(std::move(cause))
      .Hint(std::move(hint));
}

void CheckCharacters(std::string_view text) {
  if (text.size() > kTextLimit) RefuseRequirement(text, "it is too long");
  if (std::any_of(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\t') ||
               static_cast<unsigned char>(c) >= 0x7f;
      })) {
    RefuseRequirement(text, "it holds characters that no requirement has");
  }
  if (text.starts_with("-e ") || text.starts_with("--editable")) {
    RefuseRequirement(text, "an editable project is a directory, not a package",
                      "build a wheel of it and require that, or mount the directory");
  }
  if (text.starts_with('-')) {
    RefuseRequirement(text, "it is an option, not a requirement",
                      "indexes and other settings of the installer are the administrator's");
  }
}

bool IsPath(std::string_view text) { return text.starts_with('.') || text.starts_with('/'); }

constexpr std::string_view kGit = "git+";

// Tools agree on these as the name of a revision, and none is an option.
bool IsRevision(std::string_view text) {
  return !text.empty() && text.size() <= 200 &&
         std::isalnum(static_cast<unsigned char>(text.front())) != 0 &&
         text.find("..") == text.npos && std::all_of(text.begin(), text.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                  std::string_view("._/+-").find(c) != std::string_view::npos;
         });
}

void TakeGit(std::string_view text, std::string_view target, Requirement& requirement) {
  if (!target.starts_with("git+https://"))
    RefuseRequirement(text, "git repositories are reached by https alone", "use git+https://");
  if (target.find('#') != target.npos) {
    RefuseRequirement(text, "nothing may follow the revision of a git repository",
                      "the package must lie in the repository's root");
  }
  requirement.url = target;
  const auto git = ParseGitUrl(requirement.url);
  if (!git.has_value() || !IsFetchableUrl(git->url) || !IsRevision(git->revision))
    RefuseRequirement(text, "it is not of the form git+https://host/path@REVISION");
}

// "#sha256=..." of a URL; other fragments say what only a source archive needs.
void TakeFragment(std::string_view text, std::string_view fragment, Requirement& requirement) {
  constexpr std::string_view kSha256 = "sha256=";
  requirement.sha256 = fragment.starts_with(kSha256)
                           ? base::Digest::Parse(fragment.substr(kSha256.size()))
                           : std::nullopt;
  if (!requirement.sha256.has_value())
    RefuseRequirement(text, fmt::format("`#{}` is not of the form #sha256=...", fragment));
}

void TakeTarget(std::string_view text, std::string_view target, Requirement& requirement) {
  if (target.starts_with(kGit)) return TakeGit(text, target, requirement);
  const size_t hash = target.find('#');
  if (hash != target.npos) TakeFragment(text, target.substr(hash + 1), requirement);
  target = target.substr(0, hash);
  const std::string file = base::FilenameOfUrl(target);
  constexpr std::string_view kFile = "file://";
  if (!file.ends_with(".whl") && (target.starts_with(kFile) || !IsArchiveName(file)))
    RefuseRequirement(text, "it is neither a wheel nor a source archive of the web",
                      "the names of wheels end in .whl, those of archives in .tar.gz or .zip");
  if (target.starts_with(kFile)) {
    requirement.path = target.substr(kFile.size());
    if (!requirement.path.starts_with('/') || requirement.path.find('%') != std::string::npos)
      RefuseRequirement(text, "it is not of the form file:///absolute/path.whl");
  } else if (IsFetchableUrl(target)) {
    requirement.url = target;
  } else {
    RefuseRequirement(text, fmt::format("`{}` is not a plain http, https or file URL", target));
  }
}

// "[a, b]" at the front of `rest`.
std::vector<std::string> TakeExtras(std::string_view text, std::string_view& rest) {
  std::vector<std::string> extras;
  if (!rest.starts_with('[')) return extras;
  const size_t close = rest.find(']');
  if (close == rest.npos) RefuseRequirement(text, "the list of extras is not closed");
  const std::string_view inside = base::Trim(rest.substr(1, close - 1));
  rest = base::Trim(rest.substr(close + 1));
  if (inside.empty()) return extras;
  for (const std::string& part : base::Split(inside, ',')) {
    const std::string_view extra = base::Trim(part);
    if (!IsProjectName(extra))
      RefuseRequirement(text, fmt::format("`{}` is not the name of an extra", extra));
    extras.push_back(NormaliseName(extra));
  }
  std::sort(extras.begin(), extras.end());
  extras.erase(std::unique(extras.begin(), extras.end()), extras.end());
  return extras;
}

bool IsVersionPattern(std::string_view version) {
  return !version.empty() && std::isalnum(static_cast<unsigned char>(version.front())) != 0 &&
         std::all_of(version.begin(), version.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                  std::string_view("._+!*-").find(c) != std::string_view::npos;
         });
}

std::string Clause(std::string_view text, std::string_view clause) {
  constexpr std::array<std::string_view, 8> kOperators = {
      "===", "==", "~=", "!=", "<=", ">=", "<", ">"};
  clause = base::Trim(clause);
  const auto* found = std::find_if(kOperators.begin(), kOperators.end(),
                                   [&](std::string_view op) { return clause.starts_with(op); });
  if (found == kOperators.end()) {
    RefuseRequirement(
        text, fmt::format("`{}` does not begin with an operator such as `==` or `>=`", clause));
  }
  const std::string_view version = base::Trim(clause.substr(found->size()));
  if (!IsVersionPattern(version))
    RefuseRequirement(text, fmt::format("`{}` is not a version", version));
  return std::string(*found) + std::string(version);
}

std::string Specifier(std::string_view text, std::string_view rest) {
  if (rest.starts_with('(')) {
    if (!rest.ends_with(')')) RefuseRequirement(text, "a parenthesis is not closed");
    rest = base::Trim(rest.substr(1, rest.size() - 2));
  }
  if (rest.empty()) return {};
  std::vector<std::string> clauses;
  std::vector<std::string> parts = base::Split(rest, ',');
  if (parts.size() > 1 && base::Trim(parts.back()).empty())
    parts.pop_back();  // a trailing comma is allowed
  for (const std::string& part : parts) clauses.push_back(Clause(text, part));
  std::sort(clauses.begin(), clauses.end());
  clauses.erase(std::unique(clauses.begin(), clauses.end()), clauses.end());
  return base::Join(clauses, ",");
}

// Blanks outside quotes become one; quotes become single ones. What the marker means is uv's
// business.
std::string Marker(std::string_view text, std::string_view rest) {
  std::string marker;
  char quote = 0;
  for (const char c : base::Trim(rest)) {
    const bool known = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                       std::string_view(" \t_.,'\"<>=!~()+*-").find(c) != std::string_view::npos;
    if (!known) RefuseRequirement(text, fmt::format("`{}` has no place in a marker", c));
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
      marker += '\'';
    } else if (quote != 0 && c == quote) {
      quote = 0;
      marker += '\'';
    } else if (quote == 0 && (c == ' ' || c == '\t')) {
      if (!marker.ends_with(' ')) marker += ' ';
    } else {
      if (c == '\'' || c == '"') RefuseRequirement(text, "a marker quotes a quote");
      marker += c;
    }
  }
  if (quote != 0) RefuseRequirement(text, "a quote in the marker is not closed");
  if (marker.empty()) RefuseRequirement(text, "the marker after `;` is missing");
  return marker;
}

// "name[extras] @ URL ; marker": the blank before the semicolon tells it from one of the URL.
Requirement ParseReference(std::string_view whole, size_t at) {
  Requirement requirement;
  std::string_view front = base::Trim(whole.substr(0, at));
  const size_t bracket = std::min(front.find('['), front.size());
  const std::string_view name = base::Trim(front.substr(0, bracket));
  if (!IsProjectName(name))
    RefuseRequirement(whole, fmt::format("`{}` is not the name of a package", name));
  std::string_view extras = front.substr(bracket);
  requirement.name = NormaliseName(name);
  requirement.extras = TakeExtras(whole, extras);
  if (!extras.empty())
    RefuseRequirement(whole, fmt::format("`{}` has no place before `@`", extras));
  std::string_view target = base::Trim(whole.substr(at + 1));
  if (const size_t semicolon = target.find(" ;"); semicolon != target.npos) {
    requirement.marker = Marker(whole, target.substr(semicolon + 2));
    target = base::Trim(target.substr(0, semicolon));
  }
  TakeTarget(whole, target, requirement);
  return requirement;
}

Requirement ParsePath(std::string_view whole) {
  if (!whole.ends_with(".whl")) {
    RefuseRequirement(whole, "it is not a wheel (its name does not end in .whl)",
                      "of local files only wheels are installed: build one of it first");
  }
  Requirement requirement;
  requirement.name = ParseWheelName(whole.substr(whole.rfind('/') + 1)).name;
  requirement.path = whole;
  return requirement;
}

}  // namespace

std::string Requirement::Text() const {
  std::string text = name;
  if (!extras.empty()) text += "[" + base::Join(extras, ",") + "]";
  text += specifier;
  if (!url.empty()) {
    text += " @ " + url + (sha256.has_value() ? "#sha256=" + sha256->hex() : "");
  } else if (sha256.has_value()) {
    text += " @ sha256:" + sha256->hex();
  } else if (!path.empty()) {
    text += " @ file:" + path;
  }
  if (!marker.empty()) text += " ; " + marker;
  return text;
}

bool Requirement::IsSource() const {
  return !url.empty() && (url.starts_with(kGit) || !base::FilenameOfUrl(url).ends_with(".whl"));
}

std::optional<GitRevision> ParseGitUrl(const std::string& url) {
  if (!url.starts_with(kGit)) return std::nullopt;
  const std::string whole = url.substr(kGit.size());
  // Not the "@" of "user@host", which IsFetchableUrl refuses.
  const size_t path = whole.find('/', whole.find("//") + 2);
  const size_t at = path == whole.npos ? path : whole.find('@', path);
  if (at == whole.npos) return GitRevision{whole, "HEAD"};
  return GitRevision{whole.substr(0, at), whole.substr(at + 1)};
}

Requirement ParseRequirement(std::string_view text) {
  const std::string_view whole = base::Trim(text);
  CheckCharacters(whole);
  if (IsPath(whole)) return ParsePath(whole);
  if (const size_t at = whole.find('@'); at != whole.npos) return ParseReference(whole, at);
  const size_t semicolon = whole.find(';');
  std::string_view rest = base::Trim(whole.substr(0, semicolon));
  const size_t end = std::min(rest.find_first_of(" \t[(=<>!~,"), rest.size());
  const std::string_view name = rest.substr(0, end);
  if (!IsProjectName(name))
    RefuseRequirement(whole, fmt::format("`{}` is not the name of a package", name));
  rest = base::Trim(rest.substr(end));
  Requirement requirement;
  requirement.name = NormaliseName(name);
  requirement.extras = TakeExtras(whole, rest);
  requirement.specifier = Specifier(whole, rest);
  if (semicolon != whole.npos) requirement.marker = Marker(whole, whole.substr(semicolon + 1));
  return requirement;
}

}  // namespace rundlet::rootfs
