#include "plans/network.h"

#include <algorithm>

#include "base/text.h"

namespace rundlet::plans {
namespace {

constexpr std::string_view kAllowPrefix = "allow=";
constexpr size_t kMostHosts = 256;

}  // namespace

std::string Network::text() const {
  switch (level) {
    case Level::kNone:
      return "none";
    case Level::kPackages:
      return "packages";
    case Level::kHost:
      return "host";
    case Level::kAllow:
      break;
  }
  std::vector<std::string> hosts;
  for (const base::HostPort& host : allowed) hosts.push_back(host.text());
  return std::string(kAllowPrefix) + base::Join(hosts, ",");
}

std::optional<Network> ParseNetwork(std::string_view text) {
  if (text == "none") return Network{};
  if (text == "packages") return Network{Network::Level::kPackages, {}};
  if (text == "host") return Network{Network::Level::kHost, {}};
  if (!text.starts_with(kAllowPrefix)) return std::nullopt;
  Network network{Network::Level::kAllow, {}};
  for (const std::string& one : base::Split(text.substr(kAllowPrefix.size()), ',')) {
    const auto host = base::ParseHostPort(one);
    if (!host.has_value() || network.allowed.size() == kMostHosts) return std::nullopt;
    network.allowed.push_back(*host);
  }
  std::sort(network.allowed.begin(), network.allowed.end());
  network.allowed.erase(std::unique(network.allowed.begin(), network.allowed.end()),
                        network.allowed.end());
  return network;
}

}  // namespace rundlet::plans
