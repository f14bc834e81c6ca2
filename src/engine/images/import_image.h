// `rundlet image import`: layers into the store, the interpreter found, the record saved.
#pragma once

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "rootfs/images/image.h"

namespace rundlet::engine {

// Throws base::Error; nothing is saved then, layers that arrived whole stay.
rootfs::Image ImportImage(Engine& engine, rootfs::ImportRequest request, EventBus& events,
                          const base::CancelToken* cancel);

}  // namespace rundlet::engine
