// What a command does last: bytecode that nobody waited for.
#pragma once

#include "cli/options.h"

namespace rundlet::cli {

// Waits until it is made, and says why some is not. Its user has all they asked for: when they
// interrupt it, what is left is made when it is wanted again.
void FinishBytecode(engine::Engine& engine, const Options& options);

}  // namespace rundlet::cli
