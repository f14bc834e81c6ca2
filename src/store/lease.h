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

#include <functional>
#include <optional>
#include <string>

#include "base/cancel.h"
#include "base/fd.h"

namespace rundlet::store {

// Holds one lock; destruction, or the death of the process, drops it.
class Lease {
 public:
  explicit Lease(base::UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  friend class Store;

  // `path` is that of the lease file, relative to `state`, the state directory. The file is created
  // when absent.
  static Lease ToUse(int state, const std::string& path);
  static Lease ToMake(int state, const std::string& path, const base::CancelToken* cancel,
                      const std::function<void()>& on_wait);
  // Nullopt when anybody else uses or makes the entry.
  static std::optional<Lease> ToRemove(int state, const std::string& path);

  base::UniqueFd fd_;
};

}  // namespace rundlet::store
