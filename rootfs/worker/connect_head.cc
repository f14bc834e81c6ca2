#include "rootfs/worker/connect_head.h"

#include <vector>

#include "base/text.h"

namespace rundlet::rootfs::worker {

ConnectHead ReadConnectHead(std::string_view head) {
  const std::vector<std::string> words = base::Split(head.substr(0, head.find("\r\n")), ' ');
  if (words.size() != 3 || (words[2] != "HTTP/1.1" && words[2] != "HTTP/1.0"))
    return {.status = 400, .reason = "this is no request of HTTP/1.1"};
  if (words[0] != "CONNECT")
    return {.status = 405, .reason = "only CONNECT is served here: use https"};
  const auto target = base::ParseHostPort(words[1]);
  if (!target.has_value())
    return {.status = 403, .reason = "only host names with a port are served, no addresses"};
  return {.target = *target};
}

}  // namespace rundlet::rootfs::worker
