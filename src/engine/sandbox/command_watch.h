// Sees to it that a command ends when it has to: passes signals on, and keeps its time.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>

#include "runtime/launcher.h"

namespace rundlet::engine {

// Whoever waits for a command polls for at most Left() milliseconds, then calls ActInTime().
class CommandWatch {
 public:
  // `polite` asks it to end; five seconds later everything is killed.
  CommandWatch(runtime::Sandbox& sandbox, std::optional<double> timeout,
               std::function<void()> polite);

  int Left() const;  // -1: for ever
  // The command's own signal: the first Ctrl-C is its to handle, as at a prompt of its own; after
  // others, or a second, it has to end.
  void PassOn(int number);
  // Asks it to end now.
  void Ask();
  void ActInTime();
  bool timed_out() const { return timed_out_; }

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  void SetDeadline();

  runtime::Sandbox& sandbox_;
  const std::function<void()> polite_;
  int64_t ask_at_ = kNever;
  int64_t kill_at_ = kNever;
  int interrupts_ = 0;
  bool timed_out_ = false;
};

}  // namespace rundlet::engine
