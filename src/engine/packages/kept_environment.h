// What composing an environment found, kept with one lease for all of its entries: a later start in
// it does not read the records of its packages again.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "engine/core/engine.h"
#include "engine/packages/environments.h"
#include "rootfs/images/image.h"
#include "rootfs/requirements/lock.h"

namespace rundlet::engine {

class KeptEnvironment {
 public:
  // The engine is borrowed.
  KeptEnvironment(Engine& engine, const rootfs::Image& image, const rootfs::Lock& lock);

  // Nullopt when it was not kept, or when an entry of it is missing or not what it was.
  std::optional<ReadyEnvironment> Find() const;
  // `ready` is all that it will be: every package has its bytecode. `flat` is the key of the entry
  // that they were put together in, if any. All of it is under leases.
  void Keep(const ReadyEnvironment& ready, const std::optional<std::string>& flat) const;

 private:
  Engine& engine_;
  std::vector<std::pair<store::Kind, std::string>> entries_;
  base::Digest key_;
};

}  // namespace rundlet::engine
