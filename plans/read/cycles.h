// Private: models that wait for each other.
#pragma once

#include <vector>

#include "plans/invalid_pipeline.h"
#include "plans/pipeline.h"

namespace rundlet::plans {

// Adds one problem for each cycle of models, the whole way named. Models in several cycles are told
// of once.
void FindCycles(const Pipeline& pipeline, std::vector<Problem>& problems);

}  // namespace rundlet::plans
