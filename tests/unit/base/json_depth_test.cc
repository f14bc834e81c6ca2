#include <gtest/gtest.h>

#include <string>

#include "base/json/depth.h"

namespace rundlet::base {
namespace {

TEST(JsonDepth, CountsBracketsOutsideOfStrings) {
  EXPECT_EQ(JsonDepth(""), 0u);
  EXPECT_EQ(JsonDepth("1"), 0u);
  EXPECT_EQ(JsonDepth("[]"), 1u);
  EXPECT_EQ(JsonDepth(R"({"a": [1, {"b": []}], "c": []})"), 4u);
  EXPECT_EQ(JsonDepth(R"(["[[[", "\"[[[", "\\", []])"), 2u);
  EXPECT_EQ(JsonDepth("]]]]["), 1u);
  EXPECT_EQ(JsonDepth(std::string(1'000'000, '[')), 1'000'000u);
}

}  // namespace
}  // namespace rundlet::base
