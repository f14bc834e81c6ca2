// From a lock to a mounted /env: fetch, install, compose. Each distribution once, whoever
// asks.
#pragma once

#include <string>
#include <vector>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "rootfs/images/image.h"
#include "rootfs/packages/environment.h"
#include "rootfs/requirements/lock.h"

namespace rundlet::engine {

// An environment whose entries are all in the store, kept there while this lives.
struct ReadyEnvironment {
  rootfs::Environment environment;
  std::vector<std::string> warnings;  // files that two distributions share
  std::vector<store::Lease> leases;
};

// What installing would have to do; found without doing it.
bool IsFetched(Engine& engine, const rootfs::Distribution& distribution);
bool IsInstalled(Engine& engine, const rootfs::Distribution& distribution,
                 const rootfs::Interpreter& interpreter);

// Its download, its package and their bytecode, there or not: what is made of one for the next, and
// at last for a sandbox, is not removed in between while these live.
std::vector<store::Lease> HoldParts(Engine& engine, const rootfs::Distribution& distribution,
                                    const rootfs::Interpreter& interpreter);

// Whether its packages are put together on disk. That is done once: with their bytecode.
bool IsFlat(const rootfs::Lock& lock);

// When the bytecode of a new package is made (ADR 65).
enum class Bytecode {
  kNow,    // before anything runs with it
  kLater,  // meanwhile: BytecodeQueue
};

// One package directory, from its wheel in the store, and its bytecode by the image's interpreter.
void InstallOne(Engine& engine, const rootfs::Image& image,
                const rootfs::Distribution& distribution, Bytecode bytecode, EventBus& events,
                const base::CancelToken* cancel);

// Puts installed distributions together: many of them on disk, once. Checks for collisions once per
// environment. Throws base::Error, Cancelled.
ReadyEnvironment ComposeEnvironment(Engine& engine, const rootfs::Image& image,
                                    const rootfs::Lock& lock, const base::CancelToken* cancel);

// What composing it warned of before; nothing for an environment that was never put together.
// Throws base::Error (kInvalid) when all of it is installed and collides.
std::vector<std::string> KnownWarnings(Engine& engine, const rootfs::Image& image,
                                       const rootfs::Lock& lock);

// All of it: what is missing is fetched and installed, in parallel. Bytecode of what is new comes
// later, unless it is flat.
ReadyEnvironment EnsureEnvironment(Engine& engine, const rootfs::Image& image,
                                   const rootfs::Lock& lock, EventBus& events,
                                   const base::CancelToken* cancel);

}  // namespace rundlet::engine
