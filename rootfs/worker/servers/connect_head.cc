#include "rootfs/worker/servers/connect_head.h"

#include "rootfs/worker/servers/connection.h"

namespace rundlet::rootfs::worker {

ConnectHead ReadConnectHead(std::string_view head) {
  const std::optional<RequestLine> line = ReadRequestLine(head);
  if (!line.has_value()) return {.status = 400, .reason = "this is no request of HTTP/1.1"};
  if (line->method != "CONNECT")
    return {.status = 405, .reason = "only CONNECT is served here: use https"};
  const auto target = base::ParseHostPort(line->target);
  if (!target.has_value())
    return {.status = 403, .reason = "only host names with a port are served, no addresses"};
  return {.target = *target};
}

}  // namespace rundlet::rootfs::worker
