// From a project's files to a checked pipeline. User code is never imported: rundlet.toml is parsed
// by a worker, the sources by the static reader in a sandbox, and both answers are kept by content.
#pragma once

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "engine/project/project.h"
#include "plans/pipeline.h"

namespace rundlet::engine {

// Throws plans::InvalidPipeline with everything that is wrong, base::Error, Cancelled.
plans::Pipeline ReadProject(Engine& engine, const Project& project, EventBus& events,
                            const base::CancelToken* cancel);

}  // namespace rundlet::engine
