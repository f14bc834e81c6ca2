// The administrator's network settings in the form rootfs wants them.
#pragma once

#include <string>

#include "base/fd.h"
#include "engine/config.h"
#include "rootfs/fetch.h"

namespace rundlet::engine {

class Network {
 public:
  // For downloads from `url`: its host may have an inner address, and its scheme chooses the proxy.
  // Throws base::Error (kHost) when this process is to stay off the network.
  Network(const Config& config, const std::string& url);
  const rootfs::NetworkSettings& settings() const { return settings_; }

 private:
  base::UniqueFd bundle_;
  rootfs::NetworkSettings settings_;
};

}  // namespace rundlet::engine
