#include "engine/images/export_image.h"

#include <chrono>
#include <utility>

namespace rundlet::engine {
namespace {

constexpr std::chrono::milliseconds kBetweenEvents{50};

}  // namespace

ExportedImage ExportImage(Engine& engine, ExportRequest request, EventBus& events,
                          const base::CancelToken* cancel) {
  ExportedImage result{rootfs::FindImage(engine.store(), request.image), {}};
  rootfs::NewDirectory target(std::move(request.parent), std::move(request.name));
  const std::string task = "export of " + result.image.name;
  Event now = {.kind = EventKind::kProgress, .task = task, .phase = "export"};
  std::chrono::steady_clock::time_point last;
  const auto report = [&](uint64_t done, uint64_t total) {
    const auto time = std::chrono::steady_clock::now();
    if (done != total && time - last < kBetweenEvents) return;
    last = time;
    now.done = done;
    now.total = total;
    events.Send(now);
  };
  Report(events, task, "export", [&](Event& finished) {
    result.exported = rootfs::ExportImage(engine.store(), result.image, target, report, cancel);
    finished.done = finished.total = result.exported.bytes;
  });
  return result;
}

}  // namespace rundlet::engine
