#include "base/cancel_relay.h"

#include <poll.h>

#include "base/error.h"

namespace rundlet::base {

CancelRelay::CancelRelay(const CancelToken* from, CancelToken& to) {
  if (from == nullptr) return;
  thread_ = std::jthread([this, from, &to] {
    try {
      WaitFor(from->fd(), POLLIN, &ended_);
      to.Cancel();
    } catch (const Cancelled&) {
      // Nothing was said, and nobody listens any more.
    }
  });
}

CancelRelay::~CancelRelay() { ended_.Cancel(); }

}  // namespace rundlet::base
