// `rundlet image import`: layers into the store, the interpreter found, the record saved.
#pragma once

#include <string>

#include "base/cancel.h"
#include "base/fd.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "rootfs/image.h"

namespace rundlet::engine {

// `source`: see rootfs::ImportImage. Throws base::Error; nothing is saved then, layers that arrived
// whole stay.
rootfs::Image ImportImage(Engine& engine, const std::string& name, base::UniqueFd source,
                          EventBus& events, const base::CancelToken* cancel);

}  // namespace rundlet::engine
