// rundlet's own Python modules, where a sandbox has them.
#pragma once

#include "engine/core/engine.h"
#include "engine/core/host_files.h"
#include "rootfs/images/image.h"

namespace rundlet::engine {

// Adds them, with bytecode that this image's interpreter made, at /rundlet/python. They are
// compiled when no sandbox of this interpreter had them before. Throws base::Error, Cancelled.
void AddOwnModules(Engine& engine, const rootfs::Image& image, HandedMounts& handed,
                   const base::CancelToken* cancel);

}  // namespace rundlet::engine
