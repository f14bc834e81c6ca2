#include "engine/core/network.h"

#include <fcntl.h>

#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "base/url.h"

namespace rundlet::engine {

Network::Network(const Config& config, const std::string& url)
    : bundle_(open(config.ca_bundle.c_str(), O_RDONLY | O_CLOEXEC)) {
  settings_.ca_bundle = bundle_.get();
  settings_.proxy = ProxyFor(config, url);
  for (const std::string& host : base::Split(config.no_proxy, ',')) {
    if (!base::Trim(host).empty()) settings_.no_proxy.emplace_back(base::Trim(host));
  }
  settings_.timeout_seconds = config.network_timeout;
  settings_.private_hosts = PrivateHosts(config);
  settings_.private_hosts.push_back(base::UrlHost(url));
}

void Network::Present(const rootfs::IndexLogin& login) {
  if (!login.user.empty()) settings_.logins.push_back(login);
}

std::string ProxyFor(const Config& config, const std::string& url) {
  return url.starts_with("https://") ? config.proxy_https : config.proxy_http;
}

std::vector<std::string> PrivateHosts(const Config& config) {
  std::vector<std::string> hosts;
  for (const std::string& host : base::Split(config.private_hosts, ',')) {
    if (!base::Trim(host).empty()) hosts.emplace_back(base::Trim(host));
  }
  return hosts;
}

void RequireNetwork(const Config& config, std::string attempted) {
  if (!config.offline) return;
  throw base::Error(base::Fault::kHost, std::move(attempted))
      .Because("it needs the network, and rundlet is to be offline (`--offline`, RUNDLET_OFFLINE)");
}

}  // namespace rundlet::engine
