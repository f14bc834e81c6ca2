// `rundlet image export`: an image's kept blobs as an OCI image layout.
#pragma once

#include <string>

#include "base/cancel.h"
#include "base/fd.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "rootfs/images/image.h"
#include "rootfs/images/image_export.h"

namespace rundlet::engine {

struct ExportRequest {
  std::string image;
  base::UniqueFd parent;  // the directory that gets the layout, opened by whoever asked
  std::string name;       // what the layout is called in it
};

struct ExportedImage {
  rootfs::Image image;
  rootfs::Exported exported;
};

// Throws base::Error; then there is no layout.
ExportedImage ExportImage(Engine& engine, ExportRequest request, EventBus& events,
                          const base::CancelToken* cancel);

}  // namespace rundlet::engine
