#include "engine/images/layer_events.h"

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <memory>

#include "base/text.h"

namespace rundlet::engine {
namespace {

using LayerClock = std::chrono::steady_clock;
using LayerStarts = std::map<size_t, LayerClock::time_point>;

std::string Speed(uint64_t bytes, LayerClock::duration duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  if (seconds <= 0) return {};
  return base::HumanBytes(static_cast<uint64_t>(static_cast<double>(bytes) / seconds)) + "/s";
}

void SendLayer(EventBus& events, const std::string& phase, LayerStarts& starts,
               const rootfs::ImportProgress& progress) {
  Event event = {.task = fmt::format("layer {}/{} {}", progress.layer + 1, progress.layers,
                                     progress.diff_id.hex().substr(0, 12)),
                 .phase = phase,
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
      starts.try_emplace(progress.layer, LayerClock::now());
      break;
    case rootfs::LayerState::kDone:
      event.kind = EventKind::kFinished;
      event.duration = LayerClock::now() - starts[progress.layer];
      event.text = Speed(progress.done, event.duration);
      break;
  }
  events.Send(event);
}

}  // namespace

rootfs::ImportProgressCallback LayerEvents(EventBus& events, const std::string& phase) {
  return [&events, phase,
          starts = std::make_shared<LayerStarts>()](const rootfs::ImportProgress& progress) {
    SendLayer(events, phase, *starts, progress);
  };
}

}  // namespace rundlet::engine
