#include "engine/core/events.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace rundlet::engine {

void Report(EventBus& events, const std::string& task, const std::string& phase,
            const std::function<void(Event& finished)>& work) {
  events.Send({.kind = EventKind::kStarted, .task = task, .phase = phase});
  const auto begin = std::chrono::steady_clock::now();
  Event end = {.kind = EventKind::kFinished, .task = task, .phase = phase};
  try {
    work(end);
    end.duration = std::chrono::steady_clock::now() - begin;
    events.Send(end);
  } catch (const base::Cancelled&) {
    throw;
  } catch (const base::Error& error) {
    end.kind = EventKind::kFailed;
    end.text = error.Render();
    end.duration = std::chrono::steady_clock::now() - begin;
    events.Send(end);
    throw;
  }
}

store::WaitCallback NoteWaiting(EventBus& events, const std::string& task,
                                const std::string& phase) {
  return [&events, task, phase, noted = false](const store::MakerProgress& progress) mutable {
    if (!noted) {
      events.Send(
          {.kind = EventKind::kNote, .task = task, .text = "waiting: another run is at it"});
    }
    noted = true;
    if (progress.total == 0) return;
    events.Send({.kind = EventKind::kProgress,
                 .task = task,
                 .phase = phase,
                 .done = progress.done,
                 .total = progress.total});
  };
}

const char* NameOf(EventKind kind) {
  switch (kind) {
    case EventKind::kStarted:
      return "started";
    case EventKind::kProgress:
      return "progress";
    case EventKind::kFinished:
      return "finished";
    case EventKind::kFailed:
      return "failed";
    case EventKind::kSkipped:
      return "skipped";
    case EventKind::kCached:
      return "cached";
    case EventKind::kLog:
      return "log";
    case EventKind::kNote:
      return "note";
  }
  return "unknown";
}

std::string ToJsonLine(const Event& event) {
  nlohmann::ordered_json line = {{"event", NameOf(event.kind)}, {"task", event.task}};
  if (!event.phase.empty()) line["phase"] = event.phase;
  if (!event.text.empty()) line["text"] = event.text;
  if (event.total != 0 || event.done != 0) {
    line["done_bytes"] = event.done;
    line["total_bytes"] = event.total;
  }
  if (event.duration.count() != 0)
    line["seconds"] = std::chrono::duration<double>(event.duration).count();
  if (event.cpu_time.count() != 0)
    line["cpu_seconds"] = std::chrono::duration<double>(event.cpu_time).count();
  if (event.peak_memory != 0) line["peak_memory_bytes"] = event.peak_memory;
  if (event.rows.has_value()) line["rows"] = *event.rows;
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace rundlet::engine
