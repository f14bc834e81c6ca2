// `rundlet exec`: one command in a sandbox, with packages if asked.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/cancel.h"
#include "engine/command/command.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "engine/sandbox/command_watch.h"
#include "runtime/launcher.h"
#include "runtime/spec/record.h"

namespace rundlet::engine {

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

// What became of a command that was started with this spec and watched.
ExecOutcome OutcomeOf(const runtime::SandboxSpec& spec, const runtime::Outcome& outcome,
                      const CommandWatch& watch, const WantedLimits& limits);

// A command that is asked to end (TERM, HUP, a second INT, its timeout) has five seconds to do so.
// Standard streams are those of this process. `interrupt` reports signals to pass on: it is read
// for one byte, the signal's number, at a time (-1: none). Throws base::Error;
// runtime::ProgramError when the command cannot be started.
ExecOutcome Exec(Engine& engine, CommandRequest request, EventBus& events,
                 const base::CancelToken* cancel, int interrupt);

}  // namespace rundlet::engine
