// Building wheels from source archives, for the packages that their user named for it. What the
// build is told and answers: rootfs/requirements/builder_protocol.h.
#pragma once

#include <string>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "rootfs/formats/index_access.h"
#include "rootfs/images/image.h"
#include "rootfs/net/named_wheel.h"
#include "rootfs/requirements/requirement_set.h"

namespace rundlet::engine {

// The wheel of the source that `requirement` names, or of the release that it pins, in the store:
// built now, or before from the same source with the same locked build requirements on the same
// image. The source's code runs in a sandbox of the image without network, under limits, with
// nothing writable but its own scratch memory. `index` has the release; `set` says which indexes
// its build has, and which hashes an archive may have. Throws base::Error (kInvalid: no such
// source, or its build failed), Cancelled.
rootfs::NamedWheel BuildFromSource(Engine& engine, const rootfs::Image& image,
                                   const rootfs::Requirement& requirement,
                                   const rootfs::RequirementSet& set,
                                   const rootfs::IndexAccess& index, EventBus& events,
                                   const base::CancelToken* cancel);

}  // namespace rundlet::engine
