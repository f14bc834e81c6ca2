#include "engine/images/import_image.h"

#include <utility>

#include "engine/images/layer_events.h"
#include "engine/images/prober.h"

namespace rundlet::engine {

rootfs::Image ImportImage(Engine& engine, rootfs::ImportRequest request, EventBus& events,
                          const base::CancelToken* cancel) {
  rootfs::ImportedImage imported = rootfs::ImportImage(
      engine.store(), engine.workers(), std::move(request), LayerEvents(events, "import"), cancel);
  Report(events, "python", "probe", [&](Event&) {
    imported.image.interpreter = ProbeInterpreter(engine, imported.image, cancel);
  });
  rootfs::SaveImage(engine.store(), imported.image);
  return imported.image;
}

}  // namespace rundlet::engine
