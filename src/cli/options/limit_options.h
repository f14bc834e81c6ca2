// Sizes and durations as people write them: the same units as in `@rundlet.resources`.
#pragma once

#include <cstdint>
#include <string>

#include "engine/sandbox/wanted_limits.h"

namespace CLI {
class App;
}

namespace rundlet::cli {

// As written; empty: not given.
struct LimitOptions {
  std::string memory;
  std::string cpus;
  std::string pids;
  std::string disk;
  std::string timeout;
};

void AddLimitOptions(CLI::App& command, LimitOptions& options);
// Throws base::Error (kInvalid) that names the option.
engine::WantedLimits ParseLimits(const LimitOptions& options);

}  // namespace rundlet::cli
