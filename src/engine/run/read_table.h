// `rundlet table head`: the first rows of a kept table, read by an unprivileged step.
#pragma once

#include <string>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "engine/run/run_pipeline.h"

namespace rundlet::engine {

// `name` is a table's name, or project/name when several projects have one. Throws base::Error,
// Cancelled.
Preview ReadHead(Engine& engine, const std::string& name, unsigned rows, EventBus& events,
                 const base::CancelToken* cancel);

}  // namespace rundlet::engine
