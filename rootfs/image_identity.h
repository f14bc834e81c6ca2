// The identity of an image's interpreter: what bytecode in the store is keyed by.
#pragma once

#include <optional>
#include <string>

#include "base/cancel.h"
#include "base/digest.h"
#include "rootfs/image.h"
#include "rootfs/worker_client.h"

namespace rundlet::rootfs {

// Has a worker hash the interpreter's binary, its libpython (if it is linked against one) and its
// standard library, looked at in the image's layers without the skeleton. The paths are what a
// probe inside the image said; they are resolved inside the image only. Throws base::Error.
base::Digest HashInterpreter(WorkerClient& worker, const Image& image,
                             const std::string& executable,
                             const std::optional<std::string>& libpython, const std::string& stdlib,
                             const base::CancelToken* cancel);

}  // namespace rundlet::rootfs
