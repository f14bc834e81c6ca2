// `rundlet run`: carries out a plan.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/error.h"
#include "data/history/runs.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "engine/project/plan_project.h"
#include "engine/project/project.h"

namespace rundlet::engine {

struct Preview {
  std::string step;
  std::vector<std::pair<std::string, std::string>> columns;  // name, type
  std::string rows;                                          // JSON: rows of scalars
  uint64_t total_rows = 0;
};

struct RunSummary {
  data::RunRecord record;
  std::vector<Preview> previews;    // of models that ran and of kept results, in the plan's order
  std::vector<base::Error> errors;  // of the tasks that failed, in the plan's order
  size_t fetched = 0;               // distributions
  size_t installed = 0;
  size_t reused = 0;    // distributions that were installed before
  size_t resolved = 0;  // locks that had to be resolved
  int exit_code = 0;
};

// Independent tasks run in parallel, as many steps at once as there are cores. A failing step skips
// what depends on it and lets the others finish. Throws base::Error for what goes wrong before or
// beside the steps; Cancelled, after recording the run as interrupted.
RunSummary RunPipeline(Engine& engine, const Project& project, const PlannedProject& planned,
                       EventBus& events, const base::CancelToken* cancel);

}  // namespace rundlet::engine
