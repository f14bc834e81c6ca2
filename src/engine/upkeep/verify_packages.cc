#include "engine/upkeep/verify_packages.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/walls.h"
#include "engine/locks/resolver.h"
#include "engine/packages/environments.h"
#include "engine/packages/wheel_fetcher.h"
#include "rootfs/packages/bytecode.h"
#include "rootfs/packages/package.h"
#include "store/disk_comparison.h"

namespace rundlet::engine {
namespace {

using store::Kind;

std::vector<Kind> KindsFor(Depth depth) {
  std::vector<Kind> kinds = {Kind::kWheel, Kind::kPackage, Kind::kLower, Kind::kEnvironment};
  if (depth == Depth::kDisk) kinds.push_back(Kind::kLayer);
  return kinds;
}

// The first line of one manifest that the other does not have, as a path. What was made is not
// kept, only its digest: a package's RECORD says which file is wrong.
std::string FirstDifference(int tree, const store::EntryInfo& entry,
                            const store::Manifest& manifest) {
  if (entry.kind == Kind::kWheel) return "the file has other bytes";
  if (entry.kind == Kind::kEnvironment) return "a file of its packages is not what was linked";
  try {
    for (const rootfs::PackageFile& file : rootfs::ReadPackageFiles(tree, entry)) {
      if (!file.sha256.has_value()) continue;
      if (manifest.text.find(file.sha256->hex() + " ") == std::string::npos)
        return fmt::format("`{}` has other bytes, or is missing", base::Printable(file.path));
    }
  } catch (const base::Error&) {
    return "its RECORD cannot be read";
  }
  return "a mode, a name or the bytecode is not what was made";
}

std::optional<std::string> FaultOf(Engine& engine, const store::EntryInfo& entry, Depth depth) {
  const base::UniqueFd tree = base::OpenAt(
      engine.store().dir(), store::Store::PathOf(entry.kind, entry.key), O_RDONLY | O_DIRECTORY);
  if (depth == Depth::kDisk && base::Holds(base::Wall::kDiskBytes)) {
    if (const auto path = store::FirstUnlikeItsDisk(tree.get()); path.has_value())
      return fmt::format("`{}` in memory is not what the disk holds", base::Printable(*path));
  }
  if (entry.kind == Kind::kLayer) return std::nullopt;
  try {
    const store::Manifest manifest = store::ManifestOf(tree.get());
    if (manifest.digest() == entry.output || !base::Holds(base::Wall::kVerifiedBytes))
      return std::nullopt;
    return FirstDifference(tree.get(), entry, manifest);
  } catch (const base::Error& error) {
    return base::Printable(error.chain().back());  // cannot be read: damaged too
  }
}

// What a lock knows how to make again, by the keys of what it makes.
class Sources {
 public:
  explicit Sources(Engine& engine) : engine_(engine), images_(rootfs::ListImages(engine.store())) {
    std::vector<rootfs::Lock> locks = ListLocks(engine);
    // The index may have moved: the newest word on where a wheel is counts.
    std::sort(locks.begin(), locks.end(), [](const rootfs::Lock& a, const rootfs::Lock& b) {
      return a.resolved_at < b.resolved_at;
    });
    for (const rootfs::Lock& lock : locks) {
      for (const rootfs::Distribution& one : lock.distributions)
        distributions_.insert_or_assign(one.WheelKey(), one);
    }
  }

  // Whether it could be made, and was.
  bool MakeAgain(const DamagedEntry& damaged, EventBus& events, const base::CancelToken* cancel) {
    for (const auto& [key, one] : distributions_) {
      if (damaged.kind == Kind::kWheel && damaged.key == key) {
        if (one.url.empty()) return false;
        WheelFetcher(engine_, events, cancel).Fetch(one);
        return true;
      }
      for (const rootfs::Image& image : images_) {
        const std::string package = rootfs::PackageKey(one, image.interpreter.tag);
        const bool is_it = damaged.kind == Kind::kPackage
                               ? damaged.key == package
                               : damaged.key == rootfs::LowerKey(package, image.interpreter);
        if (!is_it) continue;
        if (!IsFetched(engine_, one)) {
          if (one.url.empty()) return false;
          WheelFetcher(engine_, events, cancel).Fetch(one);
        }
        InstallOne(engine_, image, one, Bytecode::kNow, events, cancel);
        return true;
      }
    }
    return false;
  }

 private:
  Engine& engine_;
  std::vector<rootfs::Image> images_;
  std::map<std::string, rootfs::Distribution> distributions_;  // by their wheels' keys
};

void Replace(Engine& engine, std::vector<DamagedEntry>& damaged, EventBus& events,
             const base::CancelToken* cancel) {
  // Lowers share their files with packages: all of it goes before anything is made.
  for (DamagedEntry& one : damaged) {
    if (one.kind == Kind::kLayer) continue;  // what is wrong is in memory only
    const bool in_use = engine.store().Remove(one.kind, one.key) == store::Removal::kInUse;
    one.state = in_use ? DamagedEntry::State::kInUse : DamagedEntry::State::kRemoved;
  }
  Sources sources(engine);
  for (DamagedEntry& one : damaged) {
    if (one.state == DamagedEntry::State::kRemoved && sources.MakeAgain(one, events, cancel))
      one.state = DamagedEntry::State::kRepaired;
  }
}

}  // namespace

const char* NameOf(DamagedEntry::State state) {
  switch (state) {
    case DamagedEntry::State::kDamaged:
      return "damaged";
    case DamagedEntry::State::kRepaired:
      return "repaired";
    case DamagedEntry::State::kRemoved:
      return "removed";
    case DamagedEntry::State::kInUse:
      return "in-use";
  }
  return "";
}

Verification VerifyPackages(Engine& engine, const VerifyRequest& request, EventBus& events,
                            const base::CancelToken* cancel) {
  Verification found;
  for (const Kind kind : KindsFor(request.depth)) {
    for (const store::EntryInfo& entry : engine.store().List(kind)) {
      if (cancel != nullptr) cancel->ThrowIfCancelled();
      const store::Lease lease = engine.store().Use(kind, entry.key);
      if (!engine.store().Find(kind, entry.key).has_value()) continue;  // pruned meanwhile
      ++found.entries;
      found.bytes += entry.bytes;
      if (auto cause = FaultOf(engine, entry, request.depth))
        found.damaged.push_back({kind, entry.key, entry.name, *std::move(cause)});
    }
  }
  if (request.repair == Repair::kReplace) Replace(engine, found.damaged, events, cancel);
  return found;
}

}  // namespace rundlet::engine
