// Removing packages and downloads that nothing needs: the least recently used first.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/engine.h"
#include "store/entry.h"

namespace rundlet::engine {

struct PruneRequest {
  std::optional<std::chrono::seconds> unused_for;  // remove what was not used for so long
  std::optional<uint64_t> max_bytes;               // then as much as leaves at most this
  bool dry_run = false;
};

// A wheel, or a package with the lowers made from it.
struct PrunedPackage {
  std::string name;
  store::Kind kind{};  // kWheel or kPackage
  std::string key;
  uint64_t bytes = 0;
  int64_t last_used_at = 0;  // seconds since the epoch
};

struct Pruning {
  std::vector<PrunedPackage> removed;  // or, in a dry run, what would be; in that order
  size_t kept = 0;
  uint64_t kept_bytes = 0;
  size_t needed = 0;  // of the kept: would have gone, but a kept run or a lease needs it
};

// Never what a lease holds, nor the packages of a run that is kept in the history. Throws
// base::Error.
Pruning PrunePackages(Engine& engine, const PruneRequest& request);

}  // namespace rundlet::engine
