// The control groups of sandboxes, made ahead.
//
// v2: a process is cloned into its group. v1: it is born where its parent is, and moving it
// afterwards waits for the kernel's RCU (milliseconds); so the launcher itself sits in a fresh
// group, which the next sandbox inherits, and leaves it before it is limited.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "runtime/cgroup/files.h"
#include "runtime/spec/controllers.h"

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

  // Puts the caller where a clone with these limits is to be. Throws GroupFailure.
  void EnterFor(const Limits& limits);
  // After the clone, which must not run yet: the group is its own now. Throws GroupFailure.
  void Limit(const Limits& limits);
  // v1: the next sandbox's memory.oom_control, where its init reads whether the kernel killed a
  // part of it. Invalid without such a limit, or on v2, which kills all of it.
  base::UniqueFd OomControl(const Limits& limits) const;
  uint64_t number() const { return number_; }
  // For CLONE_INTO_CGROUP; -1: the clone inherits its groups from the caller.
  int into() const;
  // Makes a fresh one if the current one is a sandbox's. When that fails, EnterFor tries again and
  // reports it.
  void PrepareNext() noexcept;

 private:
  static void MoveTo(const Place& place, int group);
  void MakeFresh();

  std::vector<Place> places_;
  uint64_t number_;
  bool fresh_ = false;
};

// The first to go when the host is out of memory, before whatever else runs there. False with errno
// set.
bool PreferAsVictim(pid_t pid);

}  // namespace rundlet::runtime
