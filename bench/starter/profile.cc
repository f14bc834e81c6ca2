#include "profile.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/seccomp/policy.h"

namespace rundlet::bench {
namespace {

using nlohmann::json;

// Those whose arguments matter have rules of their own (runtime/seccomp/compile.cc).
constexpr std::array<std::string_view, 4> kByArgument = {"clone", "ioctl", "socket", "socketpair"};

constexpr uint64_t kNamespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                                 CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWTIME;

struct Argument {
  unsigned index;
  uint64_t value;
  const char* test = "SCMP_CMP_EQ";
};

json Rule(json names, const std::string& action) {
  json rule = {{"names", std::move(names)}, {"action", action}};
  if (action == "SCMP_ACT_ERRNO") rule["errnoRet"] = EPERM;
  return rule;
}

json AllowIf(const std::vector<std::string>& names, const std::vector<Argument>& arguments) {
  json rule = Rule(names, "SCMP_ACT_ALLOW");
  for (const Argument& argument : arguments) {
    rule["args"].push_back({{"index", argument.index},
                            {"value", argument.value},
                            {"valueTwo", 0},
                            {"op", argument.test}});
  }
  return rule;
}

}  // namespace

json FilterAsProfile() {
  json allowed = json::array();
  for (const std::string_view name : runtime::kAllowed) {
    if (std::find(kByArgument.begin(), kByArgument.end(), name) == kByArgument.end())
      allowed.push_back(name);
  }
  json rules = json::array();
  rules.push_back(Rule(allowed, "SCMP_ACT_ALLOW"));
  rules.push_back(Rule(runtime::kDenied, "SCMP_ACT_ERRNO"));
  rules.push_back(AllowIf(
      {"clone"},
      {{.index = 0, .value = kNamespaces, .test = "SCMP_CMP_MASKED_EQ"}}));  // equal to valueTwo: 0
  rules.push_back(AllowIf({"ioctl"}, {{.index = 1, .value = TIOCSTI, .test = "SCMP_CMP_NE"},
                                      {.index = 1, .value = TIOCLINUX, .test = "SCMP_CMP_NE"}}));
  for (const uint64_t family : {uint64_t{AF_UNIX}, uint64_t{AF_INET}, uint64_t{AF_INET6}})
    rules.push_back(AllowIf({"socket", "socketpair"}, {{.index = 0, .value = family}}));
  rules.push_back(AllowIf({"socket"}, {{.index = 0, .value = AF_NETLINK},
                                       {.index = 2, .value = 0 /* NETLINK_ROUTE */}}));
  return {{"defaultAction", "SCMP_ACT_ERRNO"},
          {"defaultErrnoRet", ENOSYS},
          {"architectures", {"SCMP_ARCH_X86_64"}},
          {"syscalls", rules}};
}

}  // namespace rundlet::bench
