#include "engine/upkeep/gc.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "rootfs/images/blob_download.h"
#include "rootfs/images/image.h"
#include "rootfs/images/skeleton.h"
#include "rootfs/packages/bytecode.h"
#include "rootfs/packages/flat_tree.h"
#include "rootfs/packages/own_modules.h"
#include "rootfs/packages/package.h"
#include "rootfs/packages/tool.h"
#include "rootfs/packages/venv.h"
#include "rootfs/requirements/lock.h"

namespace rundlet::engine {
namespace {

using store::Kind;

constexpr std::array kKinds = {Kind::kLayer, Kind::kPackage,  Kind::kLower,       Kind::kWheel,
                               Kind::kTool,  Kind::kSkeleton, Kind::kEnvironment, Kind::kBlob};
constexpr size_t kGcLockLimit = 16 << 20;
constexpr const char* kDamaged = "(damaged)";
// Seconds: replacing a record takes moments, and a download that got nothing for so long is dead.
constexpr int64_t kReplacing = 3600;
// Seconds: what was used so lately may be in use, and is not too much yet.
constexpr int64_t kLately = 3600;
// Directories open at once.
constexpr unsigned kDeepestCounted = 128;

// What is not an entry, and to whom it belongs.
struct OtherFolder {
  const char* path;
  const char* owner;
};
constexpr std::array kOthers = {
    OtherFolder{"cache", "the cache"},          OtherFolder{"catalog.db", "the store"},
    OtherFolder{"images", "the images"},        OtherFolder{"leases", "the store"},
    OtherFolder{"locks", "the locks"},          OtherFolder{"runs", "the history"},
    OtherFolder{"staging", "running commands"}, OtherFolder{"tables", "the tables"},
};

// What owners are read from. Records are replaced, never written into: the same names with the same
// inodes are the same records.
using Sources = std::vector<std::pair<std::string, ino_t>>;

Sources SourcesOfOwners(store::Store& store) {
  Sources sources;
  for (const char* folder : {"images", "locks"}) {
    for (const base::DirEntry& entry : base::ListDir(store.dir(), folder)) {
      const std::string path = fmt::format("{}/{}", folder, entry.name);
      const std::optional<struct stat> info = base::StatAt(store.dir(), path);
      if (info) sources.emplace_back(path, info->st_ino);
    }
  }
  return sources;
}

rootfs::OwnModules OwnModulesOf(const Engine& engine) {
  const base::UniqueFd folder =
      base::OpenHostPath(engine.installation().python, O_RDONLY | O_DIRECTORY);
  return rootfs::ReadOwnModules(folder.get());
}

class Owners {
 public:
  // `expired`: locks that count no more, though a dry run left them there.
  Owners(Engine& engine, const std::set<std::string>& expired)
      : store_(engine.store()), expired_(expired), modules_(OwnModulesOf(engine)) {
    Read();
  }

  // Empty: nobody.
  std::string Of(Kind kind, const std::string& key) const {
    const auto found = owners_.find({kind, key});
    return found == owners_.end() ? "" : found->second;
  }

  // Asked under the entry's lease: an owner that came since then counts.
  bool AreNow(Kind kind, const std::string& key) {
    if (SourcesOfOwners(store_) != sources_) Read();
    return !Of(kind, key).empty();
  }

 private:
  void Read() {
    owners_.clear();
    // Before what is read: a change in between is seen the next time.
    sources_ = SourcesOfOwners(store_);
    owners_[{Kind::kSkeleton, rootfs::SkeletonKey()}] = "rundlet";
    owners_[{Kind::kTool, rootfs::UvKey()}] = "rundlet";
    std::vector<rootfs::Interpreter> interpreters;
    for (const rootfs::Image& image : rootfs::ListImages(store_)) {
      const std::string owner = "image " + image.name;
      for (const base::Digest& layer : image.layers) Add(Kind::kLayer, layer.hex(), owner);
      if (image.kept) {
        for (const base::Digest& blob : image.kept->blobs) Add(Kind::kBlob, blob.hex(), owner);
      }
      if (image.interpreter.executable.empty()) continue;
      Add(Kind::kSkeleton, rootfs::VenvKey(image.interpreter), owner);
      Add(Kind::kTool, rootfs::OwnModulesKey(modules_, image.interpreter), owner);
      interpreters.push_back(image.interpreter);
    }
    for (const base::DirEntry& entry : base::ListDir(store_.dir(), "locks")) {
      const std::string path = "locks/" + entry.name;
      if (entry.name.starts_with('.') || expired_.contains(path)) continue;
      AddLock(path, interpreters);
    }
    for (const store::EntryInfo& flat : store_.List(Kind::kEnvironment)) AddFlat(flat);
  }

  void AddLock(const std::string& path, const std::vector<rootfs::Interpreter>& interpreters) {
    const auto file = base::TryOpenAt(store_.dir(), path, O_RDONLY);
    if (!file) return;
    const std::string text = base::ReadFd(file->get(), kGcLockLimit, path);
    rootfs::Lock lock;
    try {
      lock = rootfs::DecodeLock(text);
    } catch (const base::Error&) {
      // Damaged, or of a rundlet with another layout: what it names is fetched again when needed.
      return;
    }
    const std::string owner = fmt::format("lock {}", path.substr(6, 12));
    for (const rootfs::Distribution& distribution : lock.distributions) {
      Add(Kind::kWheel, distribution.WheelKey(), owner);
      for (const rootfs::Interpreter& interpreter : interpreters) {
        const std::string package = rootfs::PackageKey(distribution, interpreter.tag);
        Add(Kind::kPackage, package, owner);
        Add(Kind::kLower, rootfs::LowerKey(package, interpreter), owner);
      }
    }
  }

  // One that holds what nobody owns any more goes with it: its links would keep the files.
  void AddFlat(const store::EntryInfo& flat) {
    std::set<std::string> owned;
    for (const auto& [entry, owner] : owners_)
      owned.insert(store::Store::PathOf(entry.first, entry.second));
    const std::vector<std::string> layers = rootfs::LayersOf(flat);
    const bool wanted =
        !layers.empty() && std::all_of(layers.begin(), layers.end(), [&](const std::string& layer) {
          return owned.contains(layer);
        });
    if (wanted) Add(Kind::kEnvironment, flat.key, "its packages");
  }

  void Add(Kind kind, const std::string& key, const std::string& owner) {
    owners_.emplace(std::pair(kind, key), owner);
  }

  store::Store& store_;
  const std::set<std::string>& expired_;
  const rootfs::OwnModules modules_;
  Sources sources_;
  std::map<std::pair<Kind, std::string>, std::string> owners_;
};

// Entries that no record describes: nobody can find them, so nobody uses them.
std::vector<store::EntryInfo> DamagedEntries(store::Store& store, Kind kind,
                                             const std::vector<store::EntryInfo>& whole) {
  std::set<std::string> known;
  for (const store::EntryInfo& entry : whole) known.insert(entry.key);
  std::vector<store::EntryInfo> damaged;
  for (const base::DirEntry& name :
       base::ListDir(store.dir(), std::string(store::FolderOf(kind)))) {
    if (known.contains(name.name) || name.name.size() != 64 || !base::Digest::Parse(name.name)) {
      continue;
    }
    store::EntryInfo entry;
    entry.kind = kind;
    entry.key = name.name;
    entry.name = kDamaged;
    damaged.push_back(std::move(entry));
  }
  return damaged;
}

// What a killed process left of a record it was replacing: ".<name>.<pid>.<number>".
bool IsLeftOver(const base::DirEntry& entry, const struct stat& info) {
  if (entry.type != DT_REG || !entry.name.starts_with('.')) return false;
  for (size_t i = 0, end = entry.name.size(); i < 2; ++i) {
    const size_t dot = entry.name.rfind('.', end - 1);
    if (dot == 0 || dot + 1 == end) return false;
    const std::string number = entry.name.substr(dot + 1, end - dot - 1);
    if (number.find_first_not_of("0123456789") != number.npos) return false;
    end = dot;
  }
  return info.st_mtim.tv_sec + kReplacing < time(nullptr);
}

// In folders below it, too, so many levels down.
void SweepLeftOvers(store::Store& store, const std::string& folder, unsigned levels) {
  const auto there = base::TryOpenAt(store.dir(), folder, O_RDONLY | O_DIRECTORY);
  if (!there) return;
  for (const base::DirEntry& entry : base::ListDir(there->get())) {
    const std::string path = fmt::format("{}/{}", folder, entry.name);
    if (entry.type == DT_DIR && levels > 0) SweepLeftOvers(store, path, levels - 1);
    const std::optional<struct stat> info = base::StatAt(store.dir(), path);
    if (info && IsLeftOver(entry, *info)) base::RemoveTree(store.dir(), path);
  }
}

// As deep as records lie.
void SweepLeftOvers(store::Store& store) {
  SweepLeftOvers(store, "images", 0);
  SweepLeftOvers(store, "locks", 0);
  SweepLeftOvers(store, "cache", 1);
  SweepLeftOvers(store, "cache/steps", 1);
  SweepLeftOvers(store, "tables", 2);
  SweepLeftOvers(store, "runs", 1);
}

// Running commands change these folders meanwhile: what is gone, or is no directory any more,
// counts as nothing. So does what lies deeper than anything but a hostile program puts it.
uint64_t BytesBelow(int dir, const std::string& name, unsigned depth = 0) {
  struct stat info;
  if (fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return 0;
  if (!S_ISDIR(info.st_mode)) return S_ISREG(info.st_mode) ? uint64_t(info.st_size) : 0;
  if (depth == kDeepestCounted) return 0;
  const base::UniqueFd folder(
      openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.valid()) return 0;
  uint64_t bytes = 0;
  for (const base::DirEntry& entry : base::ListDir(folder.get())) {
    bytes += BytesBelow(folder.get(), entry.name, depth + 1);
  }
  return bytes;
}

// What may go though somebody could use it again.
struct Reusable {
  GcItem item;
  int64_t used_at = 0;  // its modification time, which every use sets
};

std::vector<Reusable> ListReusable(store::Store& store) {
  std::vector<Reusable> list;
  for (const char* folder : {"locks", "cache/uv", "cache/builds", "cache/reader", "cache/toml"}) {
    if (!base::ExistsAt(store.dir(), folder)) continue;
    const char* name = std::string_view(folder) == "locks" ? "(unused lock)" : "(unused cache)";
    for (const base::DirEntry& entry : base::ListDir(store.dir(), folder)) {
      const std::string path = fmt::format("{}/{}", folder, entry.name);
      const std::optional<struct stat> info = base::StatAt(store.dir(), path);
      if (entry.name.starts_with('.') || !info) continue;
      list.push_back({{path, name, "", BytesBelow(store.dir(), path), GcItem::Fate::kRemoved},
                      info->st_mtim.tv_sec});
    }
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const Reusable& a, const Reusable& b) { return a.used_at < b.used_at; });
  return list;
}

GcItem Collect(store::Store& store, Owners& owners, const store::EntryInfo& entry, GcMode mode) {
  GcItem item;
  item.path = store::EntryDir(entry.kind, entry.key);
  item.name = entry.name;
  item.bytes = entry.bytes;
  item.owner = owners.Of(entry.kind, entry.key);
  if (!item.owner.empty() && entry.name != kDamaged) return item;
  if (mode == GcMode::kDryRun) {
    item.fate = GcItem::Fate::kRemoved;
    return item;
  }
  const auto wanted = [&] {
    return entry.name != kDamaged && owners.AreNow(entry.kind, entry.key);
  };
  switch (store.Remove(entry.kind, entry.key, wanted)) {
    case store::Removal::kRemoved:
    case store::Removal::kAbsent:
      item.fate = GcItem::Fate::kRemoved;
      break;
    case store::Removal::kInUse:
      item.fate = GcItem::Fate::kInUse;
      item.owner = "a running command";
      break;
    case store::Removal::kWanted:
      item.owner = owners.Of(entry.kind, entry.key);
      break;
  }
  return item;
}

}  // namespace

// Whoever reads one at this moment goes on with what was read.
std::vector<GcItem> RemoveReusable(store::Store& store, const GcRequest& request) {
  std::vector<GcItem> expired;
  if (!request.unused_for && !request.max_bytes) return expired;
  const std::vector<Reusable> list = ListReusable(store);
  const int64_t now = std::time(nullptr);
  uint64_t left = 0;
  for (const Reusable& one : list) left += one.item.bytes;
  for (const Reusable& one : list) {
    const bool old = request.unused_for && one.used_at <= now - request.unused_for->count();
    const bool too_much = request.max_bytes && left > *request.max_bytes;
    if (!old && !(too_much && one.used_at <= now - kLately)) continue;
    left -= one.item.bytes;
    if (request.mode == GcMode::kRemove) base::RemoveTree(store.dir(), one.item.path);
    expired.push_back(one.item);
  }
  return expired;
}

std::vector<GcItem> CollectGarbage(Engine& engine, const GcRequest& request,
                                   const base::CancelToken* cancel) {
  store::Store& store = engine.store();
  const GcMode mode = request.mode;
  std::vector<GcItem> items = RemoveReusable(store, request);
  std::set<std::string> expired;
  if (mode == GcMode::kDryRun) {
    for (const GcItem& item : items) expired.insert(item.path);
  }
  Owners owners(engine, expired);
  for (const Kind kind : kKinds) {
    std::vector<store::EntryInfo> entries = store.List(kind);
    for (store::EntryInfo& damaged : DamagedEntries(store, kind, entries)) {
      entries.push_back(std::move(damaged));
    }
    for (const store::EntryInfo& entry : entries) {
      if (cancel != nullptr) cancel->ThrowIfCancelled();
      items.push_back(Collect(store, owners, entry, mode));
    }
  }
  if (mode == GcMode::kRemove) {
    store.SweepLeases();
    SweepLeftOvers(store);
    rootfs::SweepDownloads(store, std::chrono::seconds(kReplacing));
  }
  for (const OtherFolder& other : kOthers) {
    items.push_back({other.path, "", other.owner, BytesBelow(store.dir(), other.path)});
  }
  std::sort(items.begin(), items.end(),
            [](const GcItem& a, const GcItem& b) { return a.path < b.path; });
  return items;
}

}  // namespace rundlet::engine
