#include "runtime/launcher/network.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/fs.h"

namespace rundlet::runtime {

using base::ThrowErrno;
using base::UniqueFd;

NetworkNamespaces::NetworkNamespaces() : host_(base::OpenHostPath("/proc/self/ns/net", O_RDONLY)) {}

void NetworkNamespaces::EnterFor(Network network) {
  switch (network) {
    case Network::kNone:
      if (!fresh_) MoveToFresh();
      return;
    case Network::kHost:
      fresh_ = false;
      if (setns(host_.get(), CLONE_NEWNET) < 0) ThrowErrno("entering the host's network namespace");
      return;
  }
}

void NetworkNamespaces::PrepareNext() noexcept {
  try {
    EnterFor(Network::kNone);
  } catch (const base::Error&) {
    // For instance too many namespaces for now: not an error unless a sandbox needs one.
  }
}

void NetworkNamespaces::MoveToFresh() {
  if (unshare(CLONE_NEWNET) < 0) ThrowErrno("making a network namespace");
  const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP;
  if (!any.valid() || ioctl(any.get(), SIOCSIFFLAGS, &request) < 0)
    ThrowErrno("bringing up loopback");
  fresh_ = true;
}

}  // namespace rundlet::runtime
