// The control groups of sandboxes, made ahead.
//
// v2: a process is cloned into its group. v1: it is born where its parent is, and moving a process
// waits for the kernel's RCU (milliseconds); so the launcher itself sits in a fresh group, which
// the next sandbox inherits, and moves on to another while that sandbox runs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "runtime/cgroup/controllers.h"
#include "runtime/cgroup/files.h"

namespace rundlet::runtime {

// A limit could not be set, or the group could not be made.
struct GroupFailure {
  Controller controller;
  int error_number;
};

class Leaves {
 public:
  struct Place {
    GroupKind kind;
    base::UniqueFd dir;   // of this engine
    base::UniqueFd leaf;  // of the next sandbox
  };
  explicit Leaves(std::vector<Place> places);

  // Makes the next group ready with these limits. Throws GroupFailure.
  void EnterFor(const Limits& limits);
  uint64_t number() const { return number_; }
  // For CLONE_INTO_CGROUP; -1: the clone inherits its groups from the caller.
  int into() const;
  // The group belongs to a sandbox now.
  void GivenAway() { fresh_ = false; }
  // Moves on to a fresh one if the current one is given away. When that fails, EnterFor tries again
  // and reports it.
  void PrepareNext() noexcept;

 private:
  void MoveToFresh();

  std::vector<Place> places_;
  uint64_t number_;
  bool fresh_ = false;
  Limits limits_;  // of the current group
};

// The first to go when the host is out of memory, before whatever else runs there. False with errno
// set.
bool PreferAsVictim(pid_t pid);

}  // namespace rundlet::runtime
