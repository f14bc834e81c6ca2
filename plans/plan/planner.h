// From a pipeline and facts to a plan: pure, deterministic, independent of the order of its inputs.
//
// What runs. Wanted are: models that are kept (materialize), models that no other step of the run
// reads, expectations, and whatever has network access. A model that is replaced, and an
// expectation that held, need not run again while their fingerprint has a kept result; everything
// else runs when it is wanted or when a step that runs reads it. A step with network access, one
// that appends, and all that read them run every time. A table is materialized only when the
// expectations that read it (and are part of the run) hold.
#pragma once

#include <optional>

#include "plans/parameters.h"
#include "plans/pipeline.h"
#include "plans/plan/facts.h"
#include "plans/plan/plan.h"

namespace rundlet::plans {

struct PlanOptions {
  ParameterValues parameters = {};  // from BindParameters
  std::string only = {};            // a step's name: plan that and what it needs; empty: everything
  bool ignore_results = false;      // --no-cache: every step runs; packages stay
};

// Throws InvalidPipeline when `only` names no step, or when an image has another Python than a step
// asks for. Facts that are missing are a bug of the caller's.
Plan MakePlan(const Pipeline& pipeline, const Facts& facts, const PlanOptions& options);

}  // namespace rundlet::plans
