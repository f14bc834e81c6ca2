#include "plans/network.h"

#include <gtest/gtest.h>

namespace rundlet::plans {
namespace {

using Level = Network::Level;

TEST(Network, IsReadAndWrittenAsOneText) {
  EXPECT_EQ(ParseNetwork("none"), Network{});
  EXPECT_EQ(ParseNetwork("host")->level, Level::kHost);
  EXPECT_EQ(ParseNetwork("packages")->level, Level::kPackages);
  const auto allowed = ParseNetwork("allow=idx.test:443,Files.Example.test:443,idx.test:443");
  ASSERT_TRUE(allowed.has_value());
  EXPECT_EQ(allowed->level, Level::kAllow);
  EXPECT_EQ(allowed->text(), "allow=files.example.test:443,idx.test:443");
  for (const char* text : {"none", "packages", "host", "allow=a:1,b:2"})
    EXPECT_EQ(ParseNetwork(text)->text(), text);
}

TEST(Network, IsNothingElse) {
  for (const char* text :
       {"", "None", "all", "packages=six", "allow", "allow=", "allow=a", "allow=a:1,", "allow=,a:1",
        "allow= a:1", "allow=10.0.0.1:443", "allow=*:443"}) {
    EXPECT_EQ(ParseNetwork(text), std::nullopt) << text;
  }
  std::string many = "allow=a:1";
  for (int i = 2; i <= 257; ++i) many += ",a:" + std::to_string(i);
  EXPECT_EQ(ParseNetwork(many), std::nullopt);
}

}  // namespace
}  // namespace rundlet::plans
