#include "runtime/network_namespace.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "base/error.h"
#include "base/fs.h"

namespace rundlet::runtime {
namespace {

using base::ThrowErrno;
using base::UniqueFd;

constexpr const char* kOfThisThread = "/proc/thread-self/ns/net";

void BringUpLoopback() {
  const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP;
  if (!any.valid() || ioctl(any.get(), SIOCSIFFLAGS, &request) < 0)
    ThrowErrno("bringing up loopback");
}

}  // namespace

void EnterNewNetworkNamespace() {
  if (unshare(CLONE_NEWNET) < 0) ThrowErrno("making a network namespace");
  BringUpLoopback();
}

UniqueFd NewNetworkNamespace() {
  const UniqueFd before = base::OpenHostPath(kOfThisThread, O_RDONLY);
  if (unshare(CLONE_NEWNET) < 0) ThrowErrno("making a network namespace");
  const auto leave = [&before] {
    if (setns(before.get(), CLONE_NEWNET) < 0) ThrowErrno("leaving a network namespace");
  };
  try {
    BringUpLoopback();
    UniqueFd made = base::OpenHostPath(kOfThisThread, O_RDONLY);
    leave();
    return made;
  } catch (const base::Error&) {
    leave();
    throw;
  }
}

}  // namespace rundlet::runtime
