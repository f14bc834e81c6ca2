// The fixed records that travel between engine, launcher and the sandbox's own processes.
//
// All of them are written and read by the same build, within one machine, in one system call each.
#pragma once

#include <sys/resource.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace rundlet::runtime {

// The ladder a sandbox climbs. A failure names the rung; `--timings` shows the time at which each
// was reached.
enum class Stage : uint32_t {
  kReceived,    // launcher: request decoded
  kMounts,      // launcher: detached mounts made
  kNetwork,     // launcher: in the sandbox's network namespace
  kGroups,      // launcher: in its control groups
  kCloned,      // launcher: process cloned with its namespaces
  kIdMap,       // user namespace mapped
  kIdentity,    // root of its own user namespace
  kRoot,        // new root attached
  kTargets,     // everything mounted below it
  kEntered,     // in the new root
  kLimits,      // session, keyring, rlimits, umask
  kTerminal,    // a terminal of its own, if it has one
  kRestricted,  // Landlock: where it may write
  kConfined,    // what init and the program may not do any more
  kInit,        // init has started the step's process
  kPrivileges,  // ids and capabilities given up
  kDirectory,   // working directory entered
  kExec,        // the program itself
  kCount,
};

const char* NameOf(Stage stage);

// CLOCK_MONOTONIC nanoseconds; 0 where a stage was not reached or has no time.
using StageTimes = std::array<int64_t, static_cast<std::size_t>(Stage::kCount)>;

// Sent once on the status pipe when set-up fails; a clean end of file means that the program was
// started.
struct Failure {
  Stage stage;
  int32_t error_number;
  uint32_t index;  // of the mount in the plan; of the controller (kGroups); else 0
};

// What the launcher answers to one request. When `pid` > 0 the pidfd travels along, and the
// listener of a proxied network.
struct LaunchReply {
  int32_t pid;
  Failure failure;  // when pid <= 0
  uint64_t leaf;    // the name of its control groups
};

// Written by the sandbox's init when the program has ended. Absent: the sandbox was killed as a
// whole.
struct OutcomeRecord {
  static constexpr uint32_t kMagic = 0x314F4E52;  // "RNO1"
  uint32_t magic;
  int32_t wait_status;    // of the program, as waitpid gives it
  uint32_t scratch_full;  // there was no room left when it ended
  rusage usage;           // of the program and the children it waited for
  StageTimes times;
  int64_t ended_at;  // CLOCK_MONOTONIC nanoseconds
};

}  // namespace rundlet::runtime
