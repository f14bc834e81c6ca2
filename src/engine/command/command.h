// A command that a user wants in a sandbox, from what they asked for to a spec: what `rundlet exec`
// and `rundlet shell` have in common.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/fd.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "engine/core/host_files.h"
#include "engine/locks/requirements.h"
#include "engine/locks/script.h"
#include "engine/packages/environments.h"
#include "engine/sandbox/image_sandbox.h"
#include "engine/sandbox/wanted_limits.h"
#include "plans/network.h"

namespace rundlet::engine {

// A host file or directory that its user opened with their own rights.
struct UserMount {
  base::UniqueFd source;
  std::string target;  // absolute, inside
  bool writable = false;
};

// How packages come into a sandbox (ADR 43).
enum class Composition {
  kOverlay,  // as one directory, /env
  kBinds,    // each mounted by itself, found by PYTHONPATH and PATH
};

struct CommandRequest {
  std::string image;                // empty: the only one there is
  RequirementSources requirements;  // empty: no /env, the image as it is
  Composition composition = Composition::kOverlay;
  bool writable_environment = false;  // /env takes writes of the command, which is root
                                      // then; they go with the sandbox
  bool upgrade = false;               // resolve again
  std::optional<Script> script;       // run by Python instead of `command`'s first word
  std::vector<std::string> command;   // empty: Python
  std::vector<std::pair<std::string, std::string>> environment;
  std::string cwd;  // empty: the image's, else "/"
  std::vector<UserMount> mounts;
  plans::Network network = {};
  WantedLimits limits;
};

// Everything its spec names is kept in the store while this lives.
struct Command {
  ImageSandbox image;
  runtime::SandboxSpec spec = {};
  HandedMounts handed = {};
  ReadyEnvironment environment = {};
  plans::Network network = {};
  WantedLimits limits = {};
  std::optional<store::Staging> project = {};  // of a step

  // Who serves it has to be started when it is: the launcher is needed once more.
  bool last() const { return !network.IsServed(); }
};

// Installs what is missing. Throws base::Error, Cancelled.
Command PrepareCommand(Engine& engine, CommandRequest request, EventBus& events,
                       const base::CancelToken* cancel);

}  // namespace rundlet::engine
