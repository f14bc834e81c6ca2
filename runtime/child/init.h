// The sandbox's process 1: passes signals on, reaps, and records how the program ended.
#pragma once

#include <sys/types.h>

#include "runtime/child/prepared.h"

namespace rundlet::runtime {

// Ends when `program` ends, or when the engine is gone (the lifeline's end of file); the kernel
// then kills whatever is left in the pid namespace.
[[noreturn]] void RunInit(Prepared& prepared, pid_t program);

}  // namespace rundlet::runtime
