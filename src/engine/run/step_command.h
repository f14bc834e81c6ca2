// The sandbox of a pipeline's step, for a command of its user's.
#pragma once

#include <string>
#include <vector>

#include "base/cancel.h"
#include "engine/command/command.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "engine/project/plan_project.h"
#include "engine/project/project.h"

namespace rundlet::engine {

// As a run would make it: image, packages (installed if need be), code, variables, network, limits.
// What it writes to /rundlet/out goes with it. The files of its inputs, as far as they are kept,
// are at /rundlet/in/NAME, whole; its parameters are in RUNDLET_PARAMETERS. `command` empty:
// Python. Throws plans::InvalidPipeline, base::Error, Cancelled.
Command PrepareStep(Engine& engine, const Project& project, const PlanRequest& request,
                    const std::string& step, std::vector<std::string> command, EventBus& events,
                    const base::CancelToken* cancel);

// As run `run` (an id, its unique beginning, or "last") made it, from what is recorded of it: the
// project is not looked at. Inputs are there only as they were then. Throws base::Error, Cancelled.
Command PrepareStepOfRun(Engine& engine, const std::string& run, const std::string& step,
                         std::vector<std::string> command, EventBus& events,
                         const base::CancelToken* cancel);

}  // namespace rundlet::engine
