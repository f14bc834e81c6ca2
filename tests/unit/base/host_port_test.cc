#include "base/host_port.h"

#include <gtest/gtest.h>

namespace rundlet::base {
namespace {

TEST(HostPort, IsANameInLowerCaseWithAPort) {
  EXPECT_EQ(ParseHostPort("pypi.org:443"), (HostPort{"pypi.org", 443}));
  EXPECT_EQ(ParseHostPort("Files.PythonHosted.ORG:65535"),
            (HostPort{"files.pythonhosted.org", 65535}));
  EXPECT_EQ(ParseHostPort("localhost:1")->text(), "localhost:1");
}

TEST(HostPort, IsNoAddressAndNothingElse) {
  for (const char* text : {"",
                           ":",
                           "pypi.org",
                           "pypi.org:",
                           ":443",
                           "pypi.org:0",
                           "pypi.org:65536",
                           "pypi.org:+1",
                           "pypi.org: 443",
                           "pypi.org:443 ",
                           "pypi.org:443:443",
                           "*.pypi.org:443",
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
