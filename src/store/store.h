// The store: everything rundlet keeps, in one state directory.
//
// Layout (docs/reference/store-layout.md):
//   version            "1"
//   catalog.db         sqlite: the entries there are
//   layers/ packages/ lowers/ wheels/ tools/ skeletons/   one folder a kind; entries named by key
//   staging/           half-made entries, each under a lock; swept when their maker is dead
//   leases/            lock files (open-file-description locks; the kernel drops them when a holder dies)
//   locks/ images/ runs/ tables/ cache/   owned by the engine's modules
//
// Entries are input-addressed: `key` is a digest of what they were made from. An entry that is there is complete.
// Commit: files are made in staging, normalised, synced (one syncfs), renamed into place, the parent is synced, and
// then the catalog row is written. A crash leaves only staging. Several processes may share a state directory.
// Thread safety: Store may be used from several threads.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/digest.h"
#include "base/fd.h"

namespace rundlet::store {

enum class Kind { kLayer, kPackage, kLower, kWheel, kTool, kSkeleton };
std::string_view FolderOf(Kind kind);  // "layers", "packages", ...

struct EntryInfo {
  Kind kind;
  std::string key;          // 64 hex digits
  std::string name;         // for people: "pandas 2.2.3"
  std::string meta;         // JSON text of our own schema; what it means is its maker's business
  base::Digest output;      // digest of the manifest of what the entry holds
  uint64_t bytes = 0;
  uint64_t files = 0;
  int64_t created_at = 0;   // seconds since the epoch
  int64_t last_used_at = 0;
};

// Holds a shared (kUse) or exclusive (kMake) open-file-description lock on leases/<kind>-<key>.
class Lease {
 public:
  explicit Lease(base::UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  base::UniqueFd fd_;
};

// A private directory below staging/, removed on destruction unless committed.
class Staging {
 public:
  Staging(Staging&&) noexcept;
  Staging& operator=(Staging&&) noexcept;
  ~Staging();
  int dir() const;                  // the directory itself (O_DIRECTORY|O_RDONLY); its content is under "tree"
  std::string tree_path() const;    // relative to the state directory: "staging/<id>/tree"
  int tree() const;                 // descriptor of "tree"

 private:
  friend class Store;
  struct State;
  explicit Staging(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Store {
 public:
  // Opens (creating it when absent) a state directory. Refuses one that is a link, is not owned by the effective user
  // or is writable by others, or has another format version. Sweeps staging left by dead processes.
  static std::unique_ptr<Store> Open(const std::string& path);
  ~Store();

  int dir() const;                   // descriptor of the state directory
  const std::string& path() const;

  // An entry, its last use noted (at most once an hour, so reads stay cheap). Absent entries are nullopt.
  std::optional<EntryInfo> Find(Kind kind, std::string_view key);
  std::vector<EntryInfo> List(Kind kind);

  // Shared lease: while held, the entry is not pruned.
  Lease Use(Kind kind, std::string_view key);
  // Exclusive: waits for whoever is making the same entry (in this or another process); the caller looks again with
  // Find afterwards. `on_wait` is called once if it has to wait. Throws Cancelled.
  Lease Make(Kind kind, std::string_view key, const base::CancelToken* cancel,
             const std::function<void()>& on_wait = {});

  Staging NewStaging();
  // Makes staging's tree the entry. An entry of the same key that is there already wins; the new one is dropped.
  void Commit(Staging staging, EntryInfo info);
  void Remove(Kind kind, std::string_view key);

  // "packages/<key>": where an entry is, relative to the state directory.
  static std::string PathOf(Kind kind, std::string_view key);

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Manifest of a tree: one line an entry, sorted by path bytes, in our own canonical bytes. The output digest of an entry
// is the digest of this text. Format, one a line: "<type> <mode octal> <uid> <gid> <size> <sha256|link target|-> <path>", with
// bytes outside 0x21..0x7e and "%" percent-encoded; hard links to an earlier path have type "h" and that path as
// target; xattrs (user.*, trusted.overlay.*) follow as "x <name> <hex value>".
struct Manifest {
  std::string text;
  uint64_t bytes = 0;
  uint64_t files = 0;
  base::Digest digest() const { return base::Digest::Of(text); }
};
Manifest ManifestOf(int tree);

// Makes a tree of ours read-only for good: owner root (the effective user), directories 0755, files 0444 or 0555,
// times 1 (1980 would do; fixed so that outputs repeat). Refuses devices, sockets, fifos and, unless allowed, links
// that lead outside. For packages; image layers keep their owners and modes.
void Normalise(int tree);

}  // namespace rundlet::store
