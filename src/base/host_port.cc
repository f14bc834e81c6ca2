#include "base/host_port.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace rundlet::base {
namespace {

constexpr size_t kMaxHost = 253;
constexpr size_t kMaxLabel = 63;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsLabel(const std::string& label) {
  return !label.empty() && label.size() <= kMaxLabel &&
         std::all_of(label.begin(), label.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || IsDigit(c) || c == '-' || c == '_';
         });
}

// The last label of an address in any notation ("127.1", "0x7f000001") begins with a digit; no
// top-level domain does.
bool IsHostName(const std::string& host) {
  if (host.size() > kMaxHost) return false;
  const std::vector<std::string> labels = Split(host, '.');
  return std::all_of(labels.begin(), labels.end(), IsLabel) && !IsDigit(labels.back().front());
}

}  // namespace

std::string HostPort::text() const { return host + ":" + std::to_string(port); }

std::optional<HostPort> ParseHostPort(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  HostPort parsed{LowerCase(text.substr(0, colon)), 0};
  const std::string_view port = text.substr(colon + 1);
  const char* const end = port.data() + port.size();
  const auto [rest, error] = std::from_chars(port.data(), end, parsed.port);
  if (error != std::errc() || rest != end || parsed.port == 0 || !IsHostName(parsed.host))
    return std::nullopt;
  return parsed;
}

}  // namespace rundlet::base
