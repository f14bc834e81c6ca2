// The system-call filter as the kernel applies it, against the lists it was compiled from.
#include <gmock/gmock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cstring>

#include "runtime/seccomp/filter.h"
#include "runtime/seccomp/policy.h"
#include "sandbox_test.h"

namespace rundlet::runtime {
namespace {

using ::testing::AnyOf;

constexpr int kLastCall = 470;  // above every number that today's kernels have

class Seccomp : public SandboxTest {};

int NumberOf(const char* name) {
  for (const NewerCall& call : kNewerCalls) {
    if (std::strcmp(call.name, name) == 0) return call.number;
  }
  return seccomp_syscall_resolve_name(name);
}

// With all arguments 0.
std::map<int, std::string> Expected() {
  std::map<int, std::string> expected;
  for (int number = 0; number <= kLastCall; ++number) expected[number] = "ENOSYS";
  for (const char* name : kAllowed) expected[NumberOf(name)] = "OK";
  for (const char* name : kDenied) expected[NumberOf(name)] = "EPERM";
  expected[SYS_clone] = "OK";       // no namespace flag
  expected[SYS_ioctl] = "OK";       // no terminal request
  expected[SYS_socket] = "ENOSYS";  // AF_UNSPEC
  expected[SYS_socketpair] = "ENOSYS";
  return expected;
}

TEST_F(Seccomp, EverySystemCallHasTheVerdictOfThePolicy) {
  const FactMap facts = Run(Spec({"calls", std::to_string(kLastCall + 1)})).facts();
  ASSERT_EQ(facts.size(), static_cast<size_t>(kLastCall) + 1 - 2);
  for (const auto& [number, verdict] : Expected()) {
    if (number < 0) continue;                      // not a call of this architecture
    if (number == 335 || number == 336) continue;  // uprobe trampolines: filters never see them
    EXPECT_EQ(facts.at(std::to_string(number)), verdict) << "system call " << number;
  }
}

// The table is kept apart from the policy: a change of one that was not meant shows in the other.
TEST_F(Seccomp, ThePolicyIsWhatIsWrittenDown) {
  struct Written {
    int number;
    const char* name;
    const char* verdict;
  };
  constexpr Written kWritten[] = {
#define CALL(number, name, verdict) {number, #name, #verdict},
#include "system_calls.inc"
#undef CALL
  };
  std::map<int, std::string> expected = Expected();
  for (const Written& call : kWritten) {
    const std::string verdict = std::string(call.verdict) == "DONE" ? "OK" : call.verdict;
    EXPECT_EQ(expected[call.number], verdict) << call.name;
    expected.erase(call.number);
  }
  for (const auto& [number, verdict] : expected) {
    if (number < 0) continue;
    EXPECT_EQ(verdict, "ENOSYS") << number << " is not written down";
  }
}

// Names that mean nothing are typing errors: the call would stay refused without a word.
TEST_F(Seccomp, EveryNameOfThePolicyIsACall) {
  for (const char* name : kAllowed) EXPECT_NE(NumberOf(name), __NR_SCMP_ERROR) << name;
  for (const char* name : kDenied) EXPECT_NE(NumberOf(name), __NR_SCMP_ERROR) << name;
  for (const char* allowed : kAllowed) {
    for (const char* denied : kDenied) EXPECT_STRNE(allowed, denied);
  }
  EXPECT_LE(kFilterLength, 4096u) << "the kernel's limit";
}

TEST_F(Seccomp, NoNewNamespaces) {
  FactMap facts = Run(Spec({"clone-flags"})).facts();
  EXPECT_EQ(facts["clone.none"], "OK");
  EXPECT_EQ(facts["clone.thread"], "OK");
  for (const char* space :
       {"time", "mnt", "cgroup", "uts", "ipc", "user", "pid", "net", "user-high", "all"}) {
    EXPECT_EQ(facts[std::string("clone.") + space], "EPERM") << space;
  }
  for (const auto& [key, verdict] : facts) {
    if (key.starts_with("clone.")) continue;
    EXPECT_EQ(verdict, key.starts_with("unshare.") ? "EPERM" : "ENOSYS") << key;
  }
  EXPECT_EQ(facts.size(), 36u);
}

TEST_F(Seccomp, OnlyFourFamiliesOfSockets) {
  FactMap facts = Run(Spec({"sockets"})).facts();
  for (int family = 0; family < 46; ++family) {
    const bool usual = family == AF_UNIX || family == AF_INET || family == AF_INET6;
    for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW}) {
      const std::string socket = facts[fmt::format("socket.{}.{}", family, type)];
      const std::string pair = facts[fmt::format("socketpair.{}.{}", family, type)];
      if (usual) {
        // Raw sockets want a capability; AF_UNIX takes SOCK_RAW for SOCK_DGRAM.
        const bool raw = type == SOCK_RAW && family != AF_UNIX;
        EXPECT_THAT(socket, raw ? AnyOf("EPERM", "EPROTONOSUPPORT") : AnyOf("OK", "OK"))
            << family << " " << type;
        EXPECT_NE(pair, "ENOSYS");
      } else if (family == AF_NETLINK) {
        EXPECT_THAT(socket, AnyOf("OK", "ESOCKTNOSUPPORT"));
        EXPECT_EQ(pair, "ENOSYS");
      } else {
        EXPECT_EQ(socket, "ENOSYS") << family << " " << type;
        EXPECT_EQ(pair, "ENOSYS") << family << " " << type;
      }
    }
  }
  EXPECT_EQ(facts["socket.high"], "ENOSYS") << "the upper half of a family is not looked at";
  EXPECT_EQ(facts["netlink.0"], "OK");
  for (int protocol = 1; protocol < 23; ++protocol) {
    EXPECT_EQ(facts[fmt::format("netlink.{}", protocol)], "ENOSYS") << protocol;
  }
}

TEST_F(Seccomp, NoInputIsPushedIntoATerminal) {
  FactMap facts = Run(Spec({"terminal"})).facts();
  ASSERT_EQ(facts["terminal"], "OK");
  ASSERT_EQ(facts["control"], "OK") << "without it the kernel itself would refuse";
  for (int high = 0; high < 4; ++high) {
    EXPECT_EQ(facts[fmt::format("push.{}", high)], "EPERM") << high;
    EXPECT_EQ(facts[fmt::format("console.{}", high)], "EPERM") << high;
  }
  EXPECT_EQ(facts["size"], "OK");
}

TEST_F(Seccomp, ForeignCallsKill) {
  for (const char* table : {"x32", "i386"}) {
    const Finished finished = Run(Spec({table}));
    EXPECT_EQ(finished.outcome.end, Outcome::End::kSignalled) << table << finished.output;
    EXPECT_EQ(finished.outcome.code, SIGSYS) << table;
  }
}

}  // namespace
}  // namespace rundlet::runtime
