// Cooperative cancellation that can be waited for.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/fd.h"

namespace rundlet::base {

// Set once, from any thread or from a signal handler; never reset. Anything that waits also polls
// `fd()`.
class CancelToken {
 public:
  CancelToken();
  void Cancel() noexcept;  // async-signal-safe
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_acquire); }
  // Readable once cancelled.
  int fd() const { return event_.get(); }
  // Throws Cancelled when set.
  void ThrowIfCancelled() const;

 private:
  UniqueFd event_;
  std::atomic<bool> cancelled_{false};
};

// Waits until `fd` is ready for `events` (poll bits). Throws Cancelled when the token is set first.
// Returns false after `timeout_ms` (-1: never).
bool WaitFor(int fd, short events, const CancelToken* cancel, int timeout_ms = -1);

}  // namespace rundlet::base
