#include "engine/sandbox/command_watch.h"

#include <algorithm>
#include <csignal>

#include "base/process.h"

namespace rundlet::engine {
namespace {

constexpr int64_t kGrace = 5'000'000'000;
constexpr int64_t kLongestWait = 3'600'000;  // milliseconds

}  // namespace

CommandWatch::CommandWatch(runtime::Sandbox& sandbox, std::optional<double> timeout,
                           std::function<void()> polite)
    : sandbox_(sandbox), polite_(std::move(polite)) {
  if (timeout.has_value())
    ask_at_ = base::MonotonicNanoseconds() + static_cast<int64_t>(*timeout * 1e9);
}

int CommandWatch::Left() const {
  const int64_t next = std::min(ask_at_, kill_at_);
  if (next == kNever) return -1;
  const int64_t left = (next - base::MonotonicNanoseconds()) / 1'000'000 + 1;
  return static_cast<int>(std::clamp<int64_t>(left, 0, kLongestWait));
}

void CommandWatch::PassOn(int number) {
  sandbox_.Signal(number);
  if (number != SIGINT || ++interrupts_ > 1) SetDeadline();
}

void CommandWatch::Ask() {
  polite_();
  SetDeadline();
}

void CommandWatch::SetDeadline() {
  kill_at_ = std::min(kill_at_, base::MonotonicNanoseconds() + kGrace);
}

void CommandWatch::ActInTime() {
  const int64_t now = base::MonotonicNanoseconds();
  if (now >= ask_at_) {
    ask_at_ = kNever;
    timed_out_ = true;
    Ask();
  }
  if (now >= kill_at_) {
    kill_at_ = kNever;
    sandbox_.Signal(SIGKILL);
  }
}

}  // namespace rundlet::engine
