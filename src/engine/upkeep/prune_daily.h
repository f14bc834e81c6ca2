// Pruning without an operator: what was not used for long, or is more than is allowed, goes at the
// end of a command, at most once a day.
//
// What goes is what `package prune` and `gc` would take with the same age and sizes: packages and
// downloads, locks and caches. Never what a lease or a kept run needs, nor anything while offline,
// where it could not be had again.
#pragma once

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"

namespace rundlet::engine {

// For the end of a command, when its work is done. Sends a note of what went. Never throws for want
// of success: what could not be removed is told, and tried again another day.
void PruneDaily(Engine& engine, EventBus& events, const base::CancelToken* cancel);

}  // namespace rundlet::engine
