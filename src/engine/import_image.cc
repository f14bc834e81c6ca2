#include "engine/import_image.h"

#include <fmt/format.h>

#include "engine/interpreter.h"

namespace rundlet::engine {
namespace {

void SendProgress(EventBus& events, const rootfs::ImportProgress& progress) {
  Event event = {.task = fmt::format("layer {}/{} {}", progress.layer + 1, progress.layers,
                                     progress.diff_id.hex().substr(0, 12)),
                 .phase = "import",
                 .done = progress.done,
                 .total = progress.total};
  switch (progress.state) {
    case rootfs::LayerState::kPresent:
      event.kind = EventKind::kCached;
      event.text = "unpacked before";
      break;
    case rootfs::LayerState::kWaiting:
      event.kind = EventKind::kNote;
      event.text = "waiting for another process that unpacks it";
      break;
    case rootfs::LayerState::kUnpacking:
      event.kind = EventKind::kProgress;
      break;
    case rootfs::LayerState::kDone:
      event.kind = EventKind::kFinished;
      break;
  }
  events.Send(event);
}

}  // namespace

rootfs::Image ImportImage(Engine& engine, const std::string& name, base::UniqueFd source,
                          EventBus& events, const base::CancelToken* cancel) {
  rootfs::ImportedImage imported = rootfs::ImportImage(
      engine.store(), engine.workers(), name, std::move(source),
      [&events](const rootfs::ImportProgress& progress) { SendProgress(events, progress); },
      cancel);
  Report(events, "python", "probe", [&](Event&) {
    imported.image.interpreter = ProbeInterpreter(engine, imported.image, cancel);
  });
  rootfs::SaveImage(engine.store(), imported.image);
  return imported.image;
}

}  // namespace rundlet::engine
