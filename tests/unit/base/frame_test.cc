#include "base/frame.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace rundlet::base {
namespace {

TEST(Frame, RoundTrips) {
  const std::string payload("a\0b", 3);
  EXPECT_EQ(Unseal(Format::kPlan, 3, Seal(Format::kPlan, 3, payload)), payload);
}

TEST(Frame, RefusesEverySingleByteChange) {
  const std::string frame = Seal(Format::kSandboxSpec, 1, "payload");
  for (size_t i = 0; i < frame.size(); ++i) {
    std::string altered = frame;
    altered[i] = static_cast<char>(altered[i] ^ 1);
    EXPECT_THROW(Unseal(Format::kSandboxSpec, 1, altered), Error) << "byte " << i;
  }
}

TEST(Frame, RefusesEveryPrefixAndOtherKinds) {
  const std::string frame = Seal(Format::kSandboxSpec, 1, "payload");
  for (size_t length = 0; length < frame.size(); ++length) {
    EXPECT_THROW(Unseal(Format::kSandboxSpec, 1, frame.substr(0, length)), Error);
  }
  EXPECT_THROW(Unseal(Format::kSandboxSpec, 1, frame + "x"), Error);
  EXPECT_THROW(Unseal(Format::kPlan, 1, frame), Error);
  EXPECT_THROW(Unseal(Format::kSandboxSpec, 2, frame), Error);
}

}  // namespace
}  // namespace rundlet::base
