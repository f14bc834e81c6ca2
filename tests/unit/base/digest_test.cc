#include "base/digest.h"

#include <gtest/gtest.h>

namespace rundlet::base {
namespace {

TEST(Digest, OfKnownInput) {
  EXPECT_EQ(Digest::Of("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, ParsesOnlyCanonicalText) {
  const std::string hex = Digest::Of("x").hex();
  EXPECT_EQ(Digest::Parse(hex), Digest::Of("x"));
  EXPECT_EQ(Digest::Parse("sha256:" + hex), Digest::Of("x"));
  EXPECT_FALSE(Digest::Parse(hex.substr(1)));
  EXPECT_FALSE(Digest::Parse("sha512:" + hex));
  std::string upper = hex;
  upper[0] = 'A';
  EXPECT_FALSE(Digest::Parse(upper));
  EXPECT_FALSE(Digest::Parse(hex + "0"));
}

TEST(Sha256, FieldsDoNotRunTogether) {
  Sha256 first;
  first.AddField("ab");
  first.AddField("c");
  Sha256 second;
  second.AddField("a");
  second.AddField("bc");
  EXPECT_NE(first.Finish(), second.Finish());
}

}  // namespace
}  // namespace rundlet::base
