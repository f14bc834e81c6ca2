// The store: everything rundlet keeps, in one state directory.
//
// Layout (docs/reference/store-layout.md):
//   version       "1"
//   layers/ packages/ lowers/ wheels/ tools/ skeletons/ environments/ blobs/
//                 one folder a kind; <folder>/<key>/tree is an entry, <folder>/<key>/entry.json
//                 says what it is
//   catalog.db    sqlite: an index of the entries, rebuilt from the records when it is lost
//   staging/      half-made entries, each under a lock; swept when their maker is dead
//   leases/       lock files (open-file-description locks: the kernel drops a dead holder's), and
//                 sets of entries that are used together
//   locks/ images/ runs/ tables/ cache/
//                 owned by the engine's modules
//
// Entries are input-addressed: `key` is a digest of what they were made from. An entry that is
// there is complete. Commit: files are made in staging, normalised, synced (one syncfs), renamed
// into place, the parent is synced, and then the catalog row is written. A crash leaves only
// staging. Several processes may share a state directory.
//
// Making an entry that may be there already, without a moment in which it could be pruned:
//   Lease use = store.Use(kind, key);
//   if (!store.Find(kind, key)) {
//     Lease make = store.Make(kind, key, cancel);
//     if (!store.Find(kind, key)) {
//       Staging staging = store.NewStaging();
//       ...
//       store.Commit(std::move(staging), info);
//     }
//   }
//
// Thread safety: Store may be used from several threads. All functions throw base::Error.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "store/entry.h"
#include "store/entry_set.h"
#include "store/lease.h"
#include "store/manifest.h"
#include "store/normalise.h"
#include "store/staging.h"

namespace rundlet::store {

// A finished tree and what to record about it.
struct NewEntry {
  Staging staging;
  EntryInfo info;
};

enum class Removal { kRemoved, kAbsent, kInUse, kWanted };

class Store {
 public:
  // Opens (creating it when absent) a state directory. Refuses one that is a link, is not owned by
  // the effective user or is writable by others, or has another format version. Sweeps staging left
  // by dead processes.
  static std::unique_ptr<Store> Open(const std::string& path);
  ~Store();

  int dir() const;                  // descriptor of the state directory
  const std::string& path() const;  // absolute

  // An entry, its last use noted (at most once an hour, so reads stay cheap). Absent entries are
  // nullopt, and so are damaged ones (no readable record, or no tree): making them again replaces
  // them. Never touches the catalog.
  std::optional<EntryInfo> Find(Kind kind, std::string_view key);
  // All entries by key. Brings the catalog into line with the folders: rows without an entry go,
  // entries without a row are taken in.
  std::vector<EntryInfo> List(Kind kind);

  // Shared lease: while held, the entry is not removed. The entry need not be there: take it before
  // Find.
  Lease Use(Kind kind, std::string_view key);
  // Exclusive: waits for whoever is making the same entry (in this or another process); the caller
  // looks again with Find afterwards. Throws Cancelled.
  Lease Make(Kind kind, std::string_view key, const base::CancelToken* cancel,
             const WaitCallback& on_wait = {});

  // Many entries at once: as Use and Find of each, for a few system calls an entry. Nullopt when
  // the set is not kept or not all of it is as it was: then they are to be used one by one.
  std::optional<UsedSet> UseSet(const base::Digest& key);
  // The caller has found the entries and holds their leases. A set that cannot be written is not
  // kept.
  void KeepSet(const base::Digest& key, const EntrySet& set);

  Staging NewStaging();
  // Makes staging's tree the entry; anything beside the tree is dropped. An entry of the same key
  // that is there already wins; the new one is dropped. The caller holds the entry's make lease. On
  // return the entry survives a power cut. After an exception it is there or not, never half; a row
  // that could not be written is no exception.
  void Commit(Staging staging, EntryInfo info);
  // Several entries for the price of one sync. After an exception some may be there.
  void CommitAll(std::vector<NewEntry> batch);
  // Does not wait: an entry under anybody's lease, the caller's included, stays.
  // `wanted` is asked once nobody can begin to use the entry any more: what was saved under a lease
  // that is gone by then can be seen.
  [[nodiscard]] Removal Remove(Kind kind, std::string_view key,
                               const std::function<bool()>& wanted = {});
  // Forgets lease files of entries that are not there and that nobody uses or makes, and sets that
  // nobody uses.
  void SweepLeases();

  // "packages/<key>/tree": where an entry's files are, relative to the state directory.
  static std::string PathOf(Kind kind, std::string_view key);

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  void Place(NewEntry& entry);

  std::unique_ptr<State> state_;
};

}  // namespace rundlet::store
