// Private: which steps run, and why.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plans/pipeline.h"
#include "plans/plan/facts.h"
#include "plans/plan/plan.h"
#include "plans/plan/planner.h"
#include "plans/plan/step_graph.h"

namespace rundlet::plans {

struct Decision {
  FingerprintParts parts;
  base::Digest fingerprint;
  bool always_runs = false;
  std::optional<KeptResult> kept;  // that may be used
  Action action = Action::kNotNeeded;
  std::string reason;
};

// One for each node.
std::vector<Decision> DecideSteps(const Pipeline& pipeline, const std::vector<StepNode>& nodes,
                                  const Facts& facts, const PlanOptions& options);

// Of a source table as the engine environment reads it; whoever reads it depends on it.
base::Digest SourceFingerprint(const Pipeline& pipeline, const TableName& table,
                               const Facts& facts);

const ImageFacts& FactsOf(const Facts& facts, const ImageName& image);
// The environment that a step runs in.
const Environment& EnvironmentOf(const Facts& facts, const Step& step);

}  // namespace rundlet::plans
