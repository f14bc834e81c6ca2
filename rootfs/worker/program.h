// What the two programs that run jobs have in common: PROGRAM COMMAND reads a JSON request from
// standard input, and prints progress and an answer (worker_client.h).
#pragma once

#include <span>

#include "rootfs/worker/command.h"

namespace rundlet::rootfs::worker {

// The program's exit code.
int RunCommand(int argc, char** argv, std::span<const Command> commands);

}  // namespace rundlet::rootfs::worker
