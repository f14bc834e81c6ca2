// What happens during an operation, as it happens: for progress on a terminal, plain lines, or
// JSON.
//
// The engine reports; it never prints. Thread safety: a sink is called from several threads, one
// call at a time (EventBus serialises).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/lease.h"

namespace rundlet::engine {

enum class EventKind {
  kStarted,
  kProgress,  // done of total bytes
  kFinished,
  kFailed,   // text: the error, rendered
  kSkipped,  // text: why
  kCached,   // nothing to do; text: why
  kLog,      // text: one line of a step's own output
  kNote,     // text: something the user should know
};

struct Event {
  EventKind kind = EventKind::kNote;
  std::string task;  // "install pandas 2.2.3", "delays": the same text for every event of one task
  std::string phase = {};  // "resolve", "fetch", "install", "scan", "python", "sql", "expect",
                           // "materialize", "import"
  std::string text = {};
  uint64_t done = 0;   // bytes
  uint64_t total = 0;  // bytes; 0: not known
  std::chrono::nanoseconds duration{0};
  uint64_t peak_memory = 0;  // bytes
  std::chrono::nanoseconds cpu_time{0};
  std::optional<uint64_t> rows = {};
};

using EventSink = std::function<void(const Event&)>;

class EventBus {
 public:
  explicit EventBus(EventSink sink) : sink_(std::move(sink)) {}
  void Send(const Event& event) {
    const std::lock_guard lock(mutex_);
    if (sink_) sink_(event);
  }

 private:
  std::mutex mutex_;
  EventSink sink_;
};

// Sends kStarted at once, and kFinished, kFailed or (when cancelled) nothing, depending on how the
// work ends. The work may fill in what kFinished says beyond its duration.
void Report(EventBus& events, const std::string& task, const std::string& phase,
            const std::function<void(Event& finished)>& work);

// For whoever waits until somebody else has made what a task wants: says so once, and shows how far
// the maker is. The bus outlives it.
store::WaitCallback NoteWaiting(EventBus& events, const std::string& task,
                                const std::string& phase);

const char* NameOf(EventKind kind);  // "started", "progress", ...
// One JSON object, one line, without a newline: the form of events.jsonl and of `-o json`.
std::string ToJsonLine(const Event& event);

}  // namespace rundlet::engine
