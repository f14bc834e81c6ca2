// The network that a command or step asked for.
#pragma once

#include <optional>

#include "engine/core/engine.h"
#include "engine/core/host_files.h"
#include "plans/network.h"
#include "runtime/launcher.h"

namespace rundlet::engine {

// Into a spec that has none so far: level, files, and the variables that tell programs of the proxy
// and of the administrator's certificate authorities.
void ApplyNetwork(Engine& engine, const plans::Network& network, runtime::SandboxSpec& spec,
                  HandedMounts& handed);

// Serves a sandbox that was started with that spec, until what it gives is destroyed; nothing when
// it needs no proxy. What the sandbox tries before waits.
std::optional<runtime::Sandbox> StartProxy(Engine& engine, const plans::Network& network,
                                           runtime::Sandbox& sandbox);

}  // namespace rundlet::engine
