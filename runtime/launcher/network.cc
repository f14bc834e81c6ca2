#include "runtime/launcher/network.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fs.h"
#include "runtime/network_namespace.h"

namespace rundlet::runtime {

using base::ThrowErrno;
using base::UniqueFd;

NetworkNamespaces::NetworkNamespaces() : host_(base::OpenHostPath("/proc/self/ns/net", O_RDONLY)) {}

void NetworkNamespaces::EnterFor(Network network) {
  switch (network) {
    case Network::kNone:
    case Network::kProxied:
      if (!fresh_) EnterNewNetworkNamespace();
      fresh_ = true;
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

UniqueFd NetworkNamespaces::Listen() const {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kProxyPort);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (!listener.valid() ||
      bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
      listen(listener.get(), SOMAXCONN) < 0) {
    ThrowErrno("listening on a sandbox's loopback");
  }
  return listener;
}

void NetworkNamespaces::Enter(const UniqueFd& fresh) {
  if (setns(fresh.get(), CLONE_NEWNET) < 0) ThrowErrno("entering a network namespace");
  fresh_ = true;
}

}  // namespace rundlet::runtime
