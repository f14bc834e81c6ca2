#include "base/cancel_relay.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <memory>

#include "base/error.h"

namespace rundlet::base {
namespace {

TEST(CancelRelay, PassesOnWhatIsSaid) {
  CancelToken from;
  CancelToken to;
  const CancelRelay relay(&from, to);
  EXPECT_FALSE(to.cancelled());
  from.Cancel();
  EXPECT_TRUE(WaitFor(to.fd(), POLLIN, nullptr, 10'000));
  EXPECT_THROW(to.ThrowIfCancelled(), Cancelled);
  EXPECT_TRUE(from.cancelled());
}

TEST(CancelRelay, EndsWithoutAWord) {
  CancelToken from;
  CancelToken to;
  std::make_unique<CancelRelay>(&from, to).reset();
  std::make_unique<CancelRelay>(nullptr, to).reset();
  from.Cancel();
  EXPECT_FALSE(to.cancelled());
}

// Not the other way round: what stops one piece of work does not stop the whole.
TEST(CancelRelay, KeepsToItsDirection) {
  CancelToken from;
  CancelToken to;
  {
    const CancelRelay relay(&from, to);
    to.Cancel();
  }
  EXPECT_FALSE(from.cancelled());
}

}  // namespace
}  // namespace rundlet::base
