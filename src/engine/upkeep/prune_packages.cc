#include "engine/upkeep/prune_packages.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <set>
#include <utility>

#include "base/fs.h"
#include "engine/run/package_uses.h"
#include "rootfs/packages/flat_tree.h"

namespace rundlet::engine {
namespace {

using store::EntryInfo;
using store::Kind;

// What goes together: a lower holds links to its package's files, so neither frees much alone.
struct Group {
  PrunedPackage shown;
  std::vector<std::pair<Kind, std::string>> entries;  // lowers before their package
};

// An environment that was put together on disk links to its packages' files too: it goes before any
// of them. By itself it is worth no bytes, and goes when it was not used for long.
void AddFlat(Engine& engine, std::vector<Group>& groups) {
  std::vector<Group> own;
  for (const EntryInfo& flat : engine.store().List(Kind::kEnvironment)) {
    const std::vector<std::string> list = rootfs::LayersOf(flat);
    const std::set<std::string> layers(list.begin(), list.end());
    for (Group& group : groups) {
      const bool within =
          std::any_of(group.entries.begin(), group.entries.end(), [&](const auto& entry) {
            return layers.contains(store::Store::PathOf(entry.first, entry.second));
          });
      if (within) group.entries.insert(group.entries.begin(), {Kind::kEnvironment, flat.key});
    }
    own.push_back({{.name = flat.name,
                    .kind = Kind::kEnvironment,
                    .key = flat.key,
                    .bytes = 0,
                    .last_used_at = flat.last_used_at},
                   {{Kind::kEnvironment, flat.key}}});
  }
  groups.insert(groups.end(), own.begin(), own.end());
}

// A lower carries its package's record, name included, whatever interpreter it is for.
std::vector<Group> PackageGroups(Engine& engine) {
  std::map<std::string, Group> groups;  // by that record
  for (const Kind kind : {Kind::kLower, Kind::kPackage}) {
    for (const EntryInfo& entry : engine.store().List(kind)) {
      Group& group = groups[entry.meta];
      group.entries.emplace_back(kind, entry.key);
      PrunedPackage& shown = group.shown;
      shown.last_used_at = std::max(shown.last_used_at, entry.last_used_at);
      // The bytes of a package are in its lowers too, as links.
      shown.bytes = std::max(shown.bytes, entry.bytes);
      if (kind == Kind::kPackage || shown.name.empty()) {
        shown.name = entry.name;
        shown.kind = Kind::kPackage;
        shown.key = entry.key;
      }
    }
  }
  std::vector<Group> list;
  for (auto& [meta, group] : groups) list.push_back(std::move(group));
  AddFlat(engine, list);
  return list;
}

std::vector<Group> AllGroups(Engine& engine) {
  std::vector<Group> groups = PackageGroups(engine);
  for (const EntryInfo& wheel : engine.store().List(Kind::kWheel)) {
    groups.push_back({{.name = wheel.name,
                       .kind = Kind::kWheel,
                       .key = wheel.key,
                       .bytes = wheel.bytes,
                       .last_used_at = wheel.last_used_at},
                      {{Kind::kWheel, wheel.key}}});
  }
  std::stable_sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    return a.shown.last_used_at < b.shown.last_used_at;
  });
  return groups;
}

std::set<std::string> NeededKeys(Engine& engine) {
  std::set<std::string> keys;
  for (const PackageUse& use : ListPackageUses(engine)) {
    keys.insert(use.package);
    keys.insert(use.lower);
  }
  return keys;
}

std::vector<std::string> RunFolders(Engine& engine) {
  std::vector<std::string> names;
  for (const base::DirEntry& entry : base::ListDir(engine.store().dir(), "runs"))
    names.push_back(entry.name);
  return names;
}

class Pruner {
 public:
  Pruner(Engine& engine, const PruneRequest& request)
      : engine_(engine),
        request_(request),
        now_(std::time(nullptr)),
        runs_(RunFolders(engine)),
        needed_(NeededKeys(engine)) {}

  Pruning Prune() {
    const std::vector<Group> groups = AllGroups(engine_);
    for (const Group& group : groups) left_ += group.shown.bytes;
    for (const Group& group : groups) {
      const bool wanted = IsWanted(group.shown);
      if (wanted && !IsNeeded(group) && Take(group)) continue;
      if (wanted) ++pruning_.needed;
      ++pruning_.kept;
      pruning_.kept_bytes += group.shown.bytes;
    }
    return std::move(pruning_);
  }

 private:
  bool IsWanted(const PrunedPackage& one) const {
    const bool old =
        request_.unused_for.has_value() && one.last_used_at < now_ - request_.unused_for->count();
    return old || (request_.max_bytes.has_value() && left_ > *request_.max_bytes);
  }

  bool Take(const Group& group) {
    if (!request_.dry_run && !Remove(group)) return false;
    left_ -= group.shown.bytes;
    pruning_.removed.push_back(group.shown);
    return true;
  }

  // A lease on any of it, or a run that has begun meanwhile, keeps what is left of it: a lower that
  // went alone is compiled again.
  bool Remove(const Group& group) {
    return std::all_of(group.entries.begin(), group.entries.end(), [this](const auto& entry) {
      const auto& [kind, key] = entry;
      const store::Removal removal =
          engine_.store().Remove(kind, key, [&] { return IsNeededNow(key); });
      return removal != store::Removal::kInUse && removal != store::Removal::kWanted;
    });
  }

  bool IsNeededNow(const std::string& key) {
    // Before what is read: a run that begins in between is seen the next time.
    std::vector<std::string> runs = RunFolders(engine_);
    if (runs != runs_) {
      runs_ = std::move(runs);
      needed_ = NeededKeys(engine_);
    }
    return needed_.contains(key);
  }

  bool IsNeeded(const Group& group) const {
    return std::any_of(group.entries.begin(), group.entries.end(),
                       [this](const auto& entry) { return needed_.contains(entry.second); });
  }

  Engine& engine_;
  const PruneRequest& request_;
  const int64_t now_;
  std::vector<std::string> runs_;  // when what they need was read
  std::set<std::string> needed_;
  uint64_t left_ = 0;
  Pruning pruning_;
};

}  // namespace

Pruning PrunePackages(Engine& engine, const PruneRequest& request) {
  return Pruner(engine, request).Prune();
}

}  // namespace rundlet::engine
