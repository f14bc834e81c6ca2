#include "rootfs/worker/servers/gate_request.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "base/text.h"
#include "rootfs/worker/servers/connection.h"

namespace rundlet::rootfs::worker {
namespace {

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

bool IsTag(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::optional<uint64_t> Position(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "bytes=100-199". Other forms are left out: the whole is a right answer to every range.
std::optional<HttpRange> ParseRange(std::string_view value) {
  constexpr std::string_view kUnit = "bytes=";
  const size_t dash = value.find('-');
  if (!value.starts_with(kUnit) || dash == value.npos) return std::nullopt;
  const auto first = Position(value.substr(kUnit.size(), dash - kUnit.size()));
  const auto last = Position(value.substr(dash + 1));
  if (!first.has_value() || !last.has_value() || *first > *last) return std::nullopt;
  return HttpRange{*first, *last};
}

void ReadHeader(std::string_view line, GateRequest& request) {
  const size_t colon = line.find(':');
  if (colon == line.npos || colon == 0) {
    request.status = 400;
    return;
  }
  const std::string name = base::LowerCase(line.substr(0, colon));
  const std::string_view value = base::Trim(line.substr(colon + 1));
  if (name == "transfer-encoding" || (name == "content-length" && value != "0"))
    request.status = 413;
  if (name == "if-none-match" && IsTag(value)) request.unless = value;
  if (name == "range") request.range = ParseRange(value);
  if (name == "connection" && value == "close") request.last = true;
}

}  // namespace

GateRequest ReadGateRequest(std::string_view head) {
  GateRequest request;
  std::optional<RequestLine> line = ReadRequestLine(head);
  if (!line.has_value() || line->version != "HTTP/1.1" || !IsPrintable(line->target))
    return {.status = 400};
  if (line->method != "GET" && line->method != "HEAD") return {.status = 405};
  if (line->method == "HEAD") request.method = HttpMethod::kHead;
  request.path = std::move(line->target);
  head.remove_prefix(std::min(head.find("\r\n"), head.size() - 2) + 2);
  while (!head.empty() && !head.starts_with("\r\n")) {
    const size_t next = std::min(head.find("\r\n"), head.size());
    ReadHeader(head.substr(0, next), request);
    head.remove_prefix(std::min(next + 2, head.size()));
  }
  return request;
}

}  // namespace rundlet::rootfs::worker
