// Finding an image's Python: the image is asked once, in a sandbox, and the answer is kept with it.
// Question and answer: rootfs/images/prober_protocol.h.
#pragma once

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "rootfs/images/image.h"

namespace rundlet::engine {

// Runs the image's own python3 (found on its PATH) without network to describe itself. Throws
// base::Error (kInvalid) when the image has no usable Python.
rootfs::Interpreter ProbeInterpreter(Engine& engine, const rootfs::Image& image,
                                     const base::CancelToken* cancel);

}  // namespace rundlet::engine
