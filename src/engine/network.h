// The administrator's network settings in the form rootfs wants them.
#pragma once

#include "base/fd.h"
#include "engine/config.h"
#include "rootfs/fetch.h"

namespace rundlet::engine {

class Network {
 public:
  explicit Network(const Config& config);
  const rootfs::NetworkSettings& settings() const { return settings_; }

 private:
  base::UniqueFd bundle_;
  rootfs::NetworkSettings settings_;
};

}  // namespace rundlet::engine
