// TOML of a project, as JSON: parsed by a worker, the answer kept by content.
#pragma once

#include <string>

#include "base/cancel.h"
#include "engine/core/engine.h"

namespace rundlet::engine {

// {"data": {...}, "lines": {...}}. Throws base::Error (kInvalid) with the line of a mistake,
// Cancelled.
std::string ParseToml(Engine& engine, const std::string& text, const base::CancelToken* cancel);

}  // namespace rundlet::engine
