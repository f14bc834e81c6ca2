#include "base/host_port.h"

#include <gtest/gtest.h>

namespace rundlet::base {
namespace {

TEST(HostPort, IsANameInLowerCaseWithAPort) {
  EXPECT_EQ(ParseHostPort("idx.test:443"), (HostPort{"idx.test", 443}));
  EXPECT_EQ(ParseHostPort("Files.Example.TEST:65535"), (HostPort{"files.example.test", 65535}));
  EXPECT_EQ(ParseHostPort("localhost:1")->text(), "localhost:1");
}

TEST(HostPort, IsNoAddressAndNothingElse) {
  for (const char* text : {"",
                           ":",
                           "idx.test",
                           "idx.test:",
                           ":443",
                           "idx.test:0",
                           "idx.test:65536",
                           "idx.test:+1",
                           "idx.test: 443",
                           "idx.test:443 ",
                           "idx.test:443:443",
                           "*.idx.test:443",
                           "a..b:1",
                           ".a:1",
                           "a.:1",
                           "a b:1",
                           "a/b:1",
                           "user@a:1",
                           "a\n:1",
                           "127.0.0.1:443",
                           "127.1:443",
                           "2130706433:443",
                           "0x7f000001:443",
                           "[::1]:443",
                           "::1:443",
                           "b\xc3\xbc.de:443"}) {
    EXPECT_EQ(ParseHostPort(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParseHostPort(std::string(64, 'a') + ".org:443"), std::nullopt);
  std::string host = "a";
  while (host.size() < 253) host += ".a";
  EXPECT_NE(ParseHostPort(host + ":443"), std::nullopt);
  EXPECT_EQ(ParseHostPort(host + ".a:443"), std::nullopt);
}

}  // namespace
}  // namespace rundlet::base
