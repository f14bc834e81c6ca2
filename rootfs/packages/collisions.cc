#include "rootfs/packages/collisions.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

// Below site-packages; folders end with "/". Packages ship these by mistake and nobody imports
// them.
constexpr std::array<std::string_view, 9> kJunkFolders = {"tests/",   "test/",       "testing/",
                                                          "docs/",    "doc/",        "examples/",
                                                          "example/", "benchmarks/", "scripts/"};
constexpr std::array<std::string_view, 9> kJunkFiles = {"LICENSE", "LICENCE", "COPYING",
                                                        "NOTICE",  "README",  "CHANGELOG",
                                                        "CHANGES", "AUTHORS", "CONTRIBUTING"};

bool IsJunk(std::string_view path) {
  constexpr std::string_view kSite = "/site-packages/";
  const size_t site = path.find(kSite);
  if (site == path.npos) return false;
  path.remove_prefix(site + kSite.size());
  if (std::any_of(kJunkFolders.begin(), kJunkFolders.end(),
                  [&](std::string_view folder) { return path.starts_with(folder); })) {
    return true;
  }
  const std::string_view stem = path.substr(0, path.find('.'));
  return path.find('/') == path.npos &&
         std::find(kJunkFiles.begin(), kJunkFiles.end(), stem) != kJunkFiles.end();
}

struct Owner {
  const DistributionFiles* distribution;
  const PackageFile* file;
};

[[noreturn]] void Refuse(const DistributionFiles& first, const DistributionFiles& second,
                         std::string_view path, std::string_view what) {
  throw base::Error(base::Fault::kInvalid, fmt::format("putting `{}` and `{}` into one environment",
                                                       first.label, second.label))
      .Because(fmt::format("both bring `{}`, {}", base::Printable(path), what))
      .Hint(fmt::format("require only one of them, or say which wins: `--prefer {}`, or `prefer = "
                        "[\"{}\"]` below [python]",
                        first.name, first.name));
}

class Finder {
 public:
  explicit Finder(const CollisionRules& rules) : rules_(rules) {}

  void Add(const DistributionFiles& distribution) {
    for (const PackageFile& file : distribution.files) {
      const auto [owner, is_new] = files_.try_emplace(file.path, Owner{&distribution, &file});
      if (!is_new) Meet(owner->second, distribution, file);
      AddFolders(distribution, file.path);
    }
  }

  std::vector<Collision> Finish() {
    for (const auto& [path, owner] : files_) {
      const auto folder = folders_.find(path);
      if (folder != folders_.end()) {
        Refuse(*owner.distribution, *folder->second, path, "one as a file and one as a directory");
      }
    }
    std::sort(collisions_.begin(), collisions_.end(),
              [](const Collision& a, const Collision& b) { return a.path < b.path; });
    return std::move(collisions_);
  }

 private:
  void Meet(const Owner& owner, const DistributionFiles& distribution, const PackageFile& file) {
    if (file.sha256.has_value() && owner.file->sha256 == file.sha256) return;
    const bool preferred = std::find(rules_.preferred.begin(), rules_.preferred.end(),
                                     owner.distribution->name) != rules_.preferred.end();
    if (!preferred && !IsJunk(file.path)) {
      Refuse(*owner.distribution, distribution, file.path, "with different content");
    }
    collisions_.push_back({file.path, owner.distribution->label, distribution.label});
  }

  // Views into the files' own paths: they outlive this object.
  void AddFolders(const DistributionFiles& distribution, std::string_view path) {
    for (size_t slash = path.rfind('/'); slash != path.npos; slash = path.rfind('/')) {
      path = path.substr(0, slash);
      if (!folders_.try_emplace(path, &distribution).second) return;  // its parents are known too
    }
  }

  const CollisionRules& rules_;
  std::unordered_map<std::string_view, Owner> files_;
  std::unordered_map<std::string_view, const DistributionFiles*> folders_;
  std::vector<Collision> collisions_;
};

}  // namespace

std::vector<Collision> FindCollisions(const std::vector<DistributionFiles>& distributions,
                                      const CollisionRules& rules) {
  Finder finder(rules);
  for (const DistributionFiles& distribution : distributions) finder.Add(distribution);
  return finder.Finish();
}

}  // namespace rundlet::rootfs
