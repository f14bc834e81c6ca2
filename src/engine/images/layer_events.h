// What happens to an image's layers, as events.
#pragma once

#include <string>

#include "engine/core/events.h"
#include "rootfs/images/image.h"

namespace rundlet::engine {

// One task a layer, in this phase; a finished one has its time. Borrows the bus.
rootfs::ImportProgressCallback LayerEvents(EventBus& events, const std::string& phase);

}  // namespace rundlet::engine
