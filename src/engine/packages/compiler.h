// Starts the compiler of Python modules: an image's own interpreter, in a sandbox.
#pragma once

#include "base/cancel.h"
#include "engine/core/capture.h"
#include "engine/core/engine.h"
#include "rootfs/images/image.h"
#include "rootfs/packages/bytecode.h"

namespace rundlet::engine {

// Of a compiler that was cut short nothing is left in `staging`: half a file would be taken for a
// whole one. Throws base::Error when it cannot be started; Cancelled.
CapturedOutcome RunCompiler(Engine& engine, const rootfs::Image& image,
                            const rootfs::CompileCommand& command, store::Staging& staging,
                            const base::CancelToken* cancel);

}  // namespace rundlet::engine
