#include "base/cancel.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/process.h"

namespace rundlet::base {

CancelToken::CancelToken() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_.valid()) ThrowErrno("creating an eventfd");
}

void CancelToken::Cancel() noexcept {
  cancelled_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  // Fails only when the counter is full, and then it is readable already.
  [[maybe_unused]] const ssize_t written = write(event_.get(), &one, sizeof one);
}

void CancelToken::ThrowIfCancelled() const {
  if (cancelled()) throw Cancelled("interrupted");
}

bool WaitFor(int fd, short events, const CancelToken* cancel, int timeout_ms) {
  const int64_t deadline = MonotonicNanoseconds() + int64_t{timeout_ms} * 1'000'000;
  while (true) {
    pollfd polled[2] = {{fd, events, 0}, {cancel != nullptr ? cancel->fd() : -1, POLLIN, 0}};
    int left = timeout_ms;
    if (timeout_ms >= 0) {
      left = static_cast<int>(
          std::max<int64_t>(0, (deadline - MonotonicNanoseconds() + 999'999) / 1'000'000));
    }
    const int ready = poll(polled, 2, left);
    if (ready < 0 && errno != EINTR) ThrowErrno("waiting for an event");
    if (ready == 0) return false;
    if (ready > 0 && polled[0].revents != 0) return true;
    if (cancel != nullptr) cancel->ThrowIfCancelled();
  }
}

}  // namespace rundlet::base
