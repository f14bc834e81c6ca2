#include "rootfs/net/network_settings.h"

#include <nlohmann/json.hpp>

namespace rundlet::rootfs {

void AddNetwork(const NetworkSettings& network, WorkerJob& job) {
  nlohmann::json document = nlohmann::json::parse(job.request);
  job.network = runtime::Network::kHost;
  document["proxy"] = network.proxy;
  document["no_proxy"] = network.no_proxy;
  document["private_hosts"] = network.private_hosts;
  document["timeout_seconds"] = network.timeout_seconds;
  for (const IndexLogin& login : network.logins)
    document["logins"].push_back({login.url, login.user, login.password});
  if (network.ca_bundle >= 0) {
    document["ca_bundle"] = job.files.size();
    job.files.push_back(network.ca_bundle);
  }
  job.request = document.dump();
}

}  // namespace rundlet::rootfs
