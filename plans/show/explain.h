// A plan for people and for programs.
#pragma once

#include <string>

#include "plans/pipeline.h"
#include "plans/plan/plan.h"

namespace rundlet::plans {

// The DAG as a picture in plain text, at most 80 columns wide: for each table and step what it is,
// its packages, and what is done with it and why; then the packages to fetch and install. Safe for
// a terminal.
std::string ExplainPlan(const Pipeline& pipeline, const Plan& plan);

// {"version": 1, "pipeline": name, "steps": [...], "tasks": [...], "counts": {...}}; an example is
// tests/golden/plans/flights.json.
std::string PlanJson(const Pipeline& pipeline, const Plan& plan);

}  // namespace rundlet::plans
