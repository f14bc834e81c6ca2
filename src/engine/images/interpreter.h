// Finding an image's Python: the image is asked once, in a sandbox, and the answer is kept with it.
#pragma once

#include <string>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "rootfs/images/image.h"

namespace rundlet::engine {

// Runs the image's own python3 (found on its PATH) without network to describe itself, checks every
// field of the answer, and has a worker hash the interpreter's files. Throws base::Error (kInvalid)
// when the image has no usable Python.
rootfs::Interpreter ProbeInterpreter(Engine& engine, const rootfs::Image& image,
                                     const base::CancelToken* cancel);

}  // namespace rundlet::engine
