// A host's name with a port, as "idx.test:443".
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rundlet::base {

struct HostPort {
  std::string host;  // lower case; never an address
  uint16_t port = 0;

  std::string text() const;
  auto operator<=>(const HostPort&) const = default;
};

// Nothing for what is not a name of letters, digits, "-", "_" and single dots with a port from 1 to
// 65535: addresses, ports alone, wildcards.
std::optional<HostPort> ParseHostPort(std::string_view text);

}  // namespace rundlet::base
