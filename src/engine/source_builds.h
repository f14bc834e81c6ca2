// Building wheels from source archives, for the packages that their user named for it.
#pragma once

#include <string>

#include "base/cancel.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "rootfs/image.h"
#include "rootfs/index_access.h"
#include "rootfs/named_wheel.h"
#include "rootfs/requirement_set.h"

namespace rundlet::engine {

// The wheel of the release that `requirement` pins, in the store: built now, or before from the
// same archive with the same locked build requirements on the same image. The archive's code runs
// in a sandbox of the image without network, under limits, with nothing writable but its own
// scratch memory. `index` has the archive; `set` says which indexes its build has. Throws
// base::Error (kInvalid: no such archive, or its build failed), Cancelled.
rootfs::NamedWheel BuildFromSource(Engine& engine, const rootfs::Image& image,
                                   const rootfs::Requirement& requirement,
                                   const rootfs::RequirementSet& set,
                                   const rootfs::IndexAccess& index, EventBus& events,
                                   const base::CancelToken* cancel);

}  // namespace rundlet::engine
