// Private: the steps of a run in the order of their dependencies.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "plans/pipeline.h"

namespace rundlet::plans {

struct StepNode {
  const Step* step = nullptr;     // of the pipeline
  std::vector<size_t> inputs;     // nodes of the models it reads; sorted, each once
  std::vector<size_t> consumers;  // nodes that read it; sorted, each once
};

// Topological, and by name where that leaves a choice: inputs come before their consumers. With
// `only`, that step and what it needs. Throws InvalidPipeline when there is no step of that name.
std::vector<StepNode> OrderSteps(const Pipeline& pipeline, const std::string& only);

}  // namespace rundlet::plans
