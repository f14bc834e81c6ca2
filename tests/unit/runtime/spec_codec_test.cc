#include "runtime/spec/spec_codec.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/frame.h"
#include "sample_spec.h"

namespace rundlet::runtime {
namespace {

TEST(SpecCodec, RoundTripsEveryField) {
  for (const SandboxSpec& spec : {MinimalSpec(), FullSpec(), SkeletonSpec()}) {
    EXPECT_EQ(DecodeSpec(EncodeSpec(CheckSpec(spec))), spec);
  }
}

TEST(SpecCodec, EqualSpecsHaveEqualBytes) {
  EXPECT_EQ(EncodeSpec(CheckSpec(FullSpec())), EncodeSpec(CheckSpec(FullSpec())));
  EXPECT_NE(EncodeSpec(CheckSpec(FullSpec())), EncodeSpec(CheckSpec(MinimalSpec())));
}

TEST(SpecCodec, RefusesEveryAlteredByte) {
  const std::string frame = EncodeSpec(CheckSpec(FullSpec()));
  for (size_t i = 0; i < frame.size(); ++i) {
    for (const unsigned mask : {0x01u, 0x80u, 0xffu}) {
      std::string altered = frame;
      altered[i] = static_cast<char>(static_cast<unsigned char>(altered[i]) ^ mask);
      EXPECT_THROW(DecodeSpec(altered), base::Error) << "byte " << i;
    }
  }
}

TEST(SpecCodec, RefusesEveryPrefixAndWhatFollows) {
  const std::string frame = EncodeSpec(CheckSpec(FullSpec()));
  for (size_t length = 0; length < frame.size(); ++length) {
    EXPECT_THROW(DecodeSpec(frame.substr(0, length)), base::Error) << length << " bytes";
  }
  EXPECT_THROW(DecodeSpec(frame + '\0'), base::Error);
}

// The frame's checksum holds, so only the decoder itself can see that the payload is no spec.
TEST(SpecCodec, RefusesASealedPayloadThatIsNoSpec) {
  const std::string frame = EncodeSpec(CheckSpec(FullSpec()));
  const std::string payload(base::Unseal(base::Format::kSandboxSpec, 3, frame));
  for (size_t length = 0; length < payload.size(); ++length) {
    const std::string sealed = base::Seal(base::Format::kSandboxSpec, 3, payload.substr(0, length));
    EXPECT_THROW(DecodeSpec(sealed), base::Error) << length << " bytes";
  }
  EXPECT_THROW(DecodeSpec(base::Seal(base::Format::kSandboxSpec, 3, payload + "x")), base::Error);
  // A length that would make cereal allocate without a limit.
  EXPECT_THROW(DecodeSpec(base::Seal(base::Format::kSandboxSpec, 3, std::string(9, '\xff'))),
               base::Error);
  EXPECT_THROW(DecodeSpec(base::Seal(base::Format::kPlan, 1, payload)), base::Error);
  EXPECT_THROW(DecodeSpec(base::Seal(base::Format::kSandboxSpec, 1, payload)), base::Error);
}

}  // namespace
}  // namespace rundlet::runtime
