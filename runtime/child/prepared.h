// What the launcher prepares for a sandbox before it clones: flat, complete, without a pointer that
// needs freeing.
//
// Between clone and exec nothing allocates or throws; the child only reads this and makes system
// calls.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "runtime/spec/record.h"
#include "runtime/spec/sandbox_spec.h"

namespace rundlet::runtime {

struct PreparedMount {
  enum class Kind {
    kAttach,   // a detached mount
    kScratch,  // likewise, of the sandbox's scratch memory
    kProc,     // made by the child, for its own pid namespace
    kDevpts,   // likewise
  };
  // What the program may write there, as far as owners and modes let it.
  enum class Writes {
    kNothing,
    kDevices,  // into the files that are there
    kAll,
  };
  Kind kind;
  uint32_t index;      // of the mount in the plan, for errors
  int fd;              // the mount: the last two have it once it is made
  const char* target;  // relative to the new root; "." for the root itself
  bool directory;      // what the target must be
  bool full;           // kProc
  Writes writes;
};

constexpr size_t kMaxPreparedMounts = 600;

// Which capabilities a process keeps, all of them in the sandbox's own user namespace only.
enum class Keeps {
  kNothing,
  kUnpacker,  // what writing a layer's owners and modes needs
  kInit,      // what passing signals on needs
};

struct Prepared {
  PreparedMount mounts[kMaxPreparedMounts];
  size_t mount_count;
  // Entries of the root, or null when they are not known: those that the program might write, or
  // something below them.
  const char* const* entries;
  char* const* argv;
  char* const* environment;
  char* const* programs;  // paths to try for argv[0], null-terminated; unused with `program`
  const char* hostname;
  const char* cwd;
  uid_t uid;
  gid_t gid;
  Keeps keeps;
  uint32_t pids;
  int program;  // -1: by path
  // Of the terminal the program is to have; null: none. Then standard[0] is at first the socket by
  // which its other side is sent.
  const TerminalSize* terminal;
  int standard[3];
  const int* files;
  size_t file_count;
  int status;    // write end, close-on-exec
  int lifeline;  // read end
  int scratch;   // its scratch memory
  // -1, or on v1 its memory group's oom_control: there the kernel kills one process only.
  int oom_control;
  int outcome;
  int go;  // read end: one byte once the user namespace is mapped
  StageTimes times;
};

}  // namespace rundlet::runtime
