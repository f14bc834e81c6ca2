// What a command or step may use of this host, as its user asked for it; and which limit it was
// that ended it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/core/engine.h"
#include "runtime/launcher.h"
#include "runtime/spec/sandbox_spec.h"

namespace rundlet::engine {

struct WantedLimits {
  std::optional<uint64_t> memory;  // bytes
  std::optional<double> cpus;
  std::optional<uint32_t> pids;
  std::optional<uint64_t> disk;   // bytes
  std::optional<double> timeout;  // seconds
};

// Refuses, with the reason, what this host does not have or cannot enforce. `whose` is for people:
// "this command". Throws base::Error (kInvalid, kHost).
void CheckLimits(Engine& engine, const WantedLimits& limits, const std::string& whose);

// Writes checked limits into a spec, and how many threads libraries should start.
void ApplyLimits(const WantedLimits& limits, runtime::SandboxSpec& spec);

// OMP_NUM_THREADS and its like.
void SetThreads(runtime::SandboxSpec& spec, unsigned threads);

// "out of memory at 512 MiB": the limit that struck, if one did. Only for a sandbox that failed:
// others may have run into a limit and coped.
std::optional<std::string> StruckLimit(const runtime::SandboxSpec& spec,
                                       const runtime::Outcome& outcome);
// "timed out after 30 s".
std::string TimedOut(double seconds);

}  // namespace rundlet::engine
