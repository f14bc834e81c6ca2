// Runs the compiler of Python modules: an image's own interpreter, in a sandbox. What it is told:
// rootfs/packages/compiler_protocol.h.
#pragma once

#include <string>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "rootfs/images/image.h"
#include "rootfs/program_command.h"
#include "store/staging.h"

namespace rundlet::engine {

// A compiler that failed leaves nothing in `staging`: half a file would be taken for a whole one.
// `attempt` is for errors: "compiling `x`". Throws OutOfTime, after which `staging` is not used;
// base::Error when it cannot be started; Cancelled.
void RunCompiler(Engine& engine, const rootfs::Image& image, rootfs::ProgramCommand command,
                 std::string attempt, store::Staging& staging, const base::CancelToken* cancel);

}  // namespace rundlet::engine
