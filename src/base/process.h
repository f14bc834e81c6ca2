// Host processes: starting by posix_spawn, and pidfds. Sandboxes are started by runtime/, not here.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/fd.h"

namespace rundlet::base {

struct SpawnRequest {
  std::string path;                      // of the program; no search
  std::vector<std::string> argv;         // with argv[0]
  std::map<int, int> descriptors;        // child's number -> ours; everything else is closed
  std::vector<std::string> environment;  // "K=V"; nothing is inherited
};

struct Child {
  pid_t pid = -1;
  UniqueFd pidfd;
};

// Starts a program with posix_spawn. Throws Error when it cannot be started.
Child Spawn(const SpawnRequest& request);

// Milliseconds, nanoseconds and the like come from this clock everywhere.
int64_t MonotonicNanoseconds();

}  // namespace rundlet::base
