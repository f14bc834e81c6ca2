// The network of a sandbox without one, and of one with a proxy.
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "base/fs.h"
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

class NetworkProxied : public SandboxTest {
 protected:
  SandboxSpec Proxied(std::vector<std::string> arguments) const {
    SandboxSpec spec = Spec(std::move(arguments));
    spec.network = Network::kProxied;
    return spec;
  }
};

TEST_F(NetworkProxied, OnlyItsOwnLoopbackIsThereAndSomebodyListens) {
  FactMap facts =
      Run(Proxied({"network", "1.1.1.1", "169.254.169.254", "10.0.0.1", "2606:4700::1111"}))
          .facts();
  EXPECT_EQ(facts["interfaces"], "lo ");
  for (const char* address : {"1.1.1.1", "169.254.169.254", "10.0.0.1", "2606:4700::1111"})
    EXPECT_EQ(facts[std::string("connect.") + address], "ENETUNREACH") << address;
}

TEST_F(NetworkProxied, WhoeverHasTheListenerAnswersThisSandboxOnly) {
  const base::UniqueFd null = base::OpenHostPath("/dev/null", O_RDONLY);
  const std::string port = std::to_string(kProxyPort);
  std::vector<Sandbox> sandboxes;
  std::vector<base::UniqueFd> listeners;
  std::vector<base::UniqueFd> outputs;
  for (const char* name : {"one", "two"}) {
    const CheckedSpec spec = CheckSpec(Proxied({"ask", port, name}));
    outputs.push_back(base::MemoryFile("output", ""));
    sandboxes.push_back(launcher_->Start({.spec = &spec,
                                          .standard_input = null.get(),
                                          .standard_output = outputs.back().get(),
                                          .standard_error = null.get()}));
    listeners.push_back(sandboxes.back().TakeListener());
    ASSERT_TRUE(listeners.back().valid());
    EXPECT_FALSE(sandboxes.back().TakeListener().valid()) << "once";
  }
  for (size_t i = 0; i < 2; ++i) {
    const base::UniqueFd connection(accept4(listeners[i].get(), nullptr, nullptr, SOCK_CLOEXEC));
    char word[16];
    ASSERT_EQ(read(connection.get(), word, sizeof word), 3);
    EXPECT_EQ(std::string(word, 3), i == 0 ? "one" : "two");
    base::WriteFd(connection.get(), i == 0 ? "first" : "second", "an answer");
  }
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(sandboxes[i].Wait(nullptr).code, 0);
    ASSERT_EQ(lseek(outputs[i].get(), 0, SEEK_SET), 0);
    EXPECT_EQ(base::ReadFd(outputs[i].get(), 100, "output"), i == 0 ? "first\n" : "second\n");
  }
}

TEST_F(NetworkProxied, OthersHaveNoListener) {
  for (const Network network : {Network::kNone, Network::kHost}) {
    SandboxSpec spec = Spec({"exit", "0"});
    spec.network = network;
    const CheckedSpec checked = CheckSpec(spec);
    const base::UniqueFd null = base::OpenHostPath("/dev/null", O_RDWR);
    Sandbox sandbox = launcher_->Start({.spec = &checked,
                                        .standard_input = null.get(),
                                        .standard_output = null.get(),
                                        .standard_error = null.get()});
    EXPECT_FALSE(sandbox.TakeListener().valid());
    EXPECT_EQ(sandbox.Wait(nullptr).code, 0);
  }
}

}  // namespace
}  // namespace rundlet::runtime
