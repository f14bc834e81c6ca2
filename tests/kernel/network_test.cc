// The network of a sandbox without one.
#include <linux/landlock.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "sandbox_test.h"

namespace rundlet::runtime {
namespace {

class NetworkNone : public SandboxTest {};

TEST_F(NetworkNone, OnlyLoopbackAndNoRoute) {
  FactMap facts = Run(Spec({"network", "1.1.1.1", "169.254.169.254", "10.0.0.1", "192.168.1.1",
                            "224.0.0.1", "2606:4700::1111", "fe80::1", "127.0.0.1", "::1"}))
                      .facts();
  EXPECT_EQ(facts["interfaces"], "lo ");
  for (const char* address :
       {"1.1.1.1", "169.254.169.254", "10.0.0.1", "192.168.1.1", "224.0.0.1", "2606:4700::1111"}) {
    EXPECT_EQ(facts[std::string("connect.") + address], "ENETUNREACH") << address;
  }
  // A link-local address names no interface: refused before it is routed.
  EXPECT_EQ(facts["connect.fe80::1"], "EINVAL");
  EXPECT_EQ(facts["connect.127.0.0.1"], "ECONNREFUSED") << "loopback is up, nobody listens";
  EXPECT_EQ(facts["connect.::1"], "ECONNREFUSED");
}

TEST_F(NetworkNone, AbstractSocketsOfTheHostAreOutOfReach) {
  const std::string name = fmt::format("rundlet-test-{}", getpid());
  const base::UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  EXPECT_EQ(Run(Spec({"abstract", name})).output, "ECONNREFUSED\n");
  SandboxSpec spec = Spec({"abstract", name});
  spec.network = Network::kHost;
  // A kernel with Landlock's scopes keeps them apart in the host's network as well.
  const long version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  EXPECT_EQ(Run(spec).output, version >= 6 ? "EPERM\n" : "OK\n");
}

}  // namespace
}  // namespace rundlet::runtime
