// The administrator's network settings in the form rootfs wants them.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "engine/core/config.h"
#include "rootfs/net/fetch.h"

namespace rundlet::engine {

// Throws base::Error (kHost) when the administrator says that there is no network; `attempted` is
// what was to be done with it.
void RequireNetwork(const Config& config, std::string attempted);

class Network {
 public:
  // For downloads from `url`: its host may have an inner address, and its scheme chooses the proxy.
  Network(const Config& config, const std::string& url);
  // Downloads from that index's scheme, host and port are asked for with it.
  void Present(const rootfs::IndexLogin& login);
  const rootfs::NetworkSettings& settings() const { return settings_; }

 private:
  base::UniqueFd bundle_;
  rootfs::NetworkSettings settings_;
};

// Empty: none.
std::string ProxyFor(const Config& config, const std::string& url);

// Hosts that the administrator says may have inner addresses.
std::vector<std::string> PrivateHosts(const Config& config);

}  // namespace rundlet::engine
