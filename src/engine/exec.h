// `rundlet exec`: one command in a sandbox, with packages if asked.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/fd.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/requirements.h"
#include "engine/script.h"
#include "engine/wanted_limits.h"
#include "runtime/record.h"

namespace rundlet::engine {

// A host file or directory that its user opened with their own rights.
struct UserMount {
  base::UniqueFd source;
  std::string target;  // absolute, inside
  bool writable = false;
};

struct ExecRequest {
  std::string image;                  // empty: the only one there is
  RequirementSources requirements;    // empty: no /env, the image as it is
  bool writable_environment = false;  // /env takes writes of the command, which is root
                                      // then; they go with the sandbox
  bool upgrade = false;               // resolve again
  std::optional<Script> script;       // run by Python instead of `command`'s first word
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string cwd;  // empty: the image's, else "/"
  std::vector<UserMount> mounts;
  WantedLimits limits;
};

struct ExecOutcome {
  int exit_code = 0;  // the command's own; 128 + signal when killed; 124 when its time was over
  std::optional<std::string> limit;  // that ended it, in words
  // CLOCK_MONOTONIC nanoseconds: the request, the sandbox's stages, its end.
  int64_t requested_at = 0;
  int64_t prepared_at = 0;
  runtime::StageTimes stages{};
  int64_t ended_at = 0;
  uint64_t peak_memory = 0;              // bytes
  std::chrono::nanoseconds cpu_time{0};  // of all processors
};

// A command that is asked to end (TERM, HUP, a second INT, its timeout) has five seconds to do so.
// Standard streams are those of this process. `interrupt` reports signals to pass on: it is read
// for one byte, the signal's number, at a time (-1: none). Throws base::Error;
// runtime::ProgramError when the command cannot be started.
ExecOutcome Exec(Engine& engine, ExecRequest request, EventBus& events,
                 const base::CancelToken* cancel, int interrupt);

}  // namespace rundlet::engine
