// Leases: who uses an entry and who makes it, across processes, without a server and without
// anything to clean up.
//
// Each entry has a file leases/<folder>-<key>, of which two bytes are locked:
//   byte 0   "make", exclusive: one maker at a time
//   byte 1   "use", shared: any number of users
// Removal takes both bytes at once and never waits. Using and making do not exclude each other, so
// the order that leaves no gap for a prune is also free of deadlock: Use, Find, and when nothing is
// there Make, Find again, Commit. A thread that wants several make leases at a time takes them in
// the order of their keys.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/cancel.h"
#include "base/fd.h"

namespace rundlet::store {

// How far the maker of an entry says it is, in units of its own; nothing of nothing: it said
// nothing.
struct MakerProgress {
  uint64_t done = 0;
  uint64_t total = 0;
  bool operator==(const MakerProgress&) const = default;
};
// Called when one has to wait for a maker, and again whenever that one got on.
using WaitCallback = std::function<void(const MakerProgress&)>;

// Holds one lock; destruction, or the death of the process, drops it.
class Lease {
 public:
  explicit Lease(base::UniqueFd fd) : fd_(std::move(fd)) {}

  // Of a make lease: tells those who wait. Nothing depends on it, so it never fails.
  void Tell(const MakerProgress& progress) const noexcept;

 private:
  friend class Store;
  friend class EntrySets;

  // `path` is that of the lease file, relative to `state`, the state directory. The file is created
  // when absent.
  static Lease ToUse(int state, const std::string& path);
  // Nullopt when there is no such file.
  static std::optional<Lease> ToUseKept(int state, const std::string& path);
  static Lease ToMake(int state, const std::string& path, const base::CancelToken* cancel,
                      const WaitCallback& on_wait);
  // Nullopt when anybody else uses or makes the entry.
  static std::optional<Lease> ToRemove(int state, const std::string& path);

  base::UniqueFd fd_;
};

}  // namespace rundlet::store
