#include "plans/plan/step_graph.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <unordered_map>

#include "base/text.h"
#include "plans/invalid_pipeline.h"

namespace rundlet::plans {
namespace {

// All steps by name, with the steps that each one reads.
struct AllSteps {
  std::vector<const Step*> steps;
  std::vector<std::vector<size_t>> inputs;
};

AllSteps Collect(const Pipeline& pipeline) {
  AllSteps all;
  for (const Step& step : pipeline.models) all.steps.push_back(&step);
  for (const Step& step : pipeline.expectations) all.steps.push_back(&step);
  std::sort(all.steps.begin(), all.steps.end(),
            [](const Step* a, const Step* b) { return a->name < b->name; });
  std::unordered_map<std::string_view, size_t> index;
  for (size_t i = 0; i < all.steps.size(); ++i) index.emplace(all.steps[i]->name.text(), i);
  all.inputs.resize(all.steps.size());
  for (size_t i = 0; i < all.steps.size(); ++i) {
    std::vector<size_t>& inputs = all.inputs[i];
    for (const Input& input : all.steps[i]->inputs) {
      const auto* const name = std::get_if<StepName>(&input.table);
      if (name != nullptr) inputs.push_back(index.at(name->text()));
    }
    std::sort(inputs.begin(), inputs.end());
    inputs.erase(std::unique(inputs.begin(), inputs.end()), inputs.end());
  }
  return all;
}

size_t Target(const AllSteps& all, const std::string& only) {
  std::vector<std::string> names;
  for (size_t i = 0; i < all.steps.size(); ++i) {
    if (all.steps[i]->name.text() == only) return i;
    names.push_back(all.steps[i]->name.text());
  }
  Problem problem;
  problem.message = fmt::format("running only `{}`", only);
  problem.cause = "the pipeline has no model or expectation of that name";
  const std::string close = base::ClosestWord(only.substr(0, kMaxNameLength), names);
  if (!close.empty()) problem.hint = fmt::format("did you mean `{}`?", close);
  throw InvalidPipeline({problem});
}

std::vector<bool> Scope(const AllSteps& all, const std::string& only) {
  std::vector<bool> scope(all.steps.size(), only.empty());
  if (only.empty()) return scope;
  std::vector<size_t> queue = {Target(all, only)};
  while (!queue.empty()) {
    const size_t step = queue.back();
    queue.pop_back();
    if (scope[step]) continue;
    scope[step] = true;
    queue.insert(queue.end(), all.inputs[step].begin(), all.inputs[step].end());
  }
  return scope;
}

// The steps in scope, as indices into `all`; inputs first.
std::vector<size_t> TopologicalOrder(const AllSteps& all, const std::vector<bool>& scope) {
  std::vector<size_t> waiting(all.steps.size());
  std::vector<std::vector<size_t>> consumers(all.steps.size());
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t i = 0; i < all.steps.size(); ++i) {
    if (!scope[i]) continue;
    waiting[i] = all.inputs[i].size();
    for (const size_t input : all.inputs[i]) consumers[input].push_back(i);
    if (waiting[i] == 0) ready.push(i);
  }
  std::vector<size_t> order;
  while (!ready.empty()) {
    const size_t step = ready.top();
    ready.pop();
    order.push_back(step);
    for (const size_t consumer : consumers[step]) {
      if (--waiting[consumer] == 0) ready.push(consumer);
    }
  }
  return order;
}

}  // namespace

std::vector<StepNode> OrderSteps(const Pipeline& pipeline, const std::string& only) {
  const AllSteps all = Collect(pipeline);
  const std::vector<bool> scope = Scope(all, only);
  const std::vector<size_t> order = TopologicalOrder(all, scope);
  RUNDLET_CHECK(order.size() == static_cast<size_t>(std::count(scope.begin(), scope.end(), true)));
  std::vector<size_t> node_of(all.steps.size());
  for (size_t node = 0; node < order.size(); ++node) node_of[order[node]] = node;
  std::vector<StepNode> nodes(order.size());
  for (size_t node = 0; node < order.size(); ++node) {
    nodes[node].step = all.steps[order[node]];
    for (const size_t input : all.inputs[order[node]]) {
      nodes[node].inputs.push_back(node_of[input]);
      nodes[node_of[input]].consumers.push_back(node);
    }
    std::sort(nodes[node].inputs.begin(), nodes[node].inputs.end());
  }
  return nodes;
}

}  // namespace rundlet::plans
