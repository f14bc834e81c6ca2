#include "engine/network.h"

#include <fcntl.h>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::engine {

Network::Network(const Config& config, const std::string& url)
    : bundle_(open(config.ca_bundle.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (config.offline) {
    throw base::Error(base::Fault::kHost, fmt::format("asking `{}`", rootfs::UrlHost(url)))
        .Because("--offline keeps rundlet off the network")
        .Hint("run it once without --offline");
  }
  settings_.ca_bundle = bundle_.get();
  settings_.proxy = url.starts_with("https://") ? config.proxy_https : config.proxy_http;
  for (const std::string& host : base::Split(config.no_proxy, ',')) {
    if (!base::Trim(host).empty()) settings_.no_proxy.emplace_back(base::Trim(host));
  }
  settings_.private_hosts = {rootfs::UrlHost(url)};
  for (const std::string& host : base::Split(config.private_hosts, ',')) {
    if (!base::Trim(host).empty()) settings_.private_hosts.emplace_back(base::Trim(host));
  }
}

}  // namespace rundlet::engine
