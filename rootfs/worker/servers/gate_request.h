// A request to the gate before the package indexes (RFC 9110, 9112), as far as the gate serves it.
#pragma once

#include <string>
#include <string_view>

#include "rootfs/worker/http/fetch_http.h"

namespace rundlet::rootfs::worker {

constexpr size_t kMaxGateHead = size_t{16} * 1024;

struct GateRequest {
  int status = 200;  // to answer with, when it is not to be served
  HttpMethod method = HttpMethod::kGet;
  std::string path = {};
  std::string unless = {};  // If-None-Match
  std::optional<HttpRange> range = {};
  bool last = false;  // of its connection
};

// `head` is complete. A body is refused, and so is a header that could mean several things.
GateRequest ReadGateRequest(std::string_view head);

}  // namespace rundlet::rootfs::worker
