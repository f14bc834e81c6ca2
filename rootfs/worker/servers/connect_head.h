// The head of a CONNECT request to the proxy (RFC 9110, 9.3.6).
#pragma once

#include <string>
#include <string_view>

#include "base/host_port.h"

namespace rundlet::rootfs::worker {

struct ConnectHead {
  int status = 200;  // to answer with, when it is not to be served
  std::string reason = {};
  base::HostPort target = {};
};

// `head` is complete. Only its first line matters.
ConnectHead ReadConnectHead(std::string_view head);

}  // namespace rundlet::rootfs::worker
