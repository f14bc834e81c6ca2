// Top-level imports that a step's environment cannot satisfy, told before anything runs.
#pragma once

#include "engine/core/engine.h"
#include "engine/project/plan_project.h"

namespace rundlet::engine {

// Of the steps that would run and whose packages are all installed; the others find out when they
// start. Throws base::Error (kInvalid) with file and line.
void CheckImports(Engine& engine, const PlannedProject& planned);

}  // namespace rundlet::engine
