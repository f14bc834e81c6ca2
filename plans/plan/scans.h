// Private: which tables are scanned for whom.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "plans/plan/decide.h"
#include "plans/plan/plan.h"
#include "plans/plan/step_graph.h"

namespace rundlet::plans {

// One scan of a source table, or of the kept result of a step that need not run.
struct PlannedScan {
  InputTable table;
  size_t node = 0;  // of the kept result's step
  // Nodes: all that read a source table, or the running ones that read a kept result.
  std::vector<size_t> consumers;
  bool runs = false;
  ScanSelection selection;  // for the consumers that run
};

// Source tables first, then kept results, by name. A kept result nobody reads is not scanned.
std::vector<PlannedScan> PlanScans(const std::vector<StepNode>& nodes,
                                   const std::vector<Decision>& decisions);

}  // namespace rundlet::plans
