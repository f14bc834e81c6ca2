#include "plans/read/cycles.h"

#include <algorithm>

namespace rundlet::plans {
namespace {

constexpr size_t kMaxShown = 12;  // models of a cycle

// Indices into pipeline.models of the models that each one reads. Inputs that were not resolved are
// left out.
std::vector<std::vector<size_t>> InputsOf(const Pipeline& pipeline) {
  std::vector<std::vector<size_t>> inputs(pipeline.models.size());
  for (size_t i = 0; i < pipeline.models.size(); ++i) {
    for (const Input& input : pipeline.models[i].inputs) {
      const auto* const name = std::get_if<StepName>(&input.table);
      const Step* const step =
          name == nullptr || name->empty() ? nullptr : FindStep(pipeline, *name);
      if (step != nullptr) inputs[i].push_back(static_cast<size_t>(step - pipeline.models.data()));
    }
  }
  return inputs;
}

// Takes models away, again and again, whose inputs are all gone; what stays is in a cycle or waits
// for one.
class Remaining {
 public:
  explicit Remaining(const std::vector<std::vector<size_t>>& inputs)
      : inputs_(inputs), consumers_(inputs.size()), waiting_(inputs.size()), gone_(inputs.size()) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      waiting_[i] = inputs[i].size();
      for (const size_t input : inputs[i]) consumers_[input].push_back(i);
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (waiting_[i] == 0) Remove(i);
    }
  }

  void Remove(size_t first) {
    std::vector<size_t> queue = {first};
    while (!queue.empty()) {
      const size_t model = queue.back();
      queue.pop_back();
      if (gone_[model]) continue;
      gone_[model] = true;
      for (const size_t consumer : consumers_[model]) {
        if (--waiting_[consumer] == 0) queue.push_back(consumer);
      }
    }
  }

  bool gone(size_t model) const { return gone_[model]; }

  // A cycle among what stays, from a model that stays: every one of those has an input that stays.
  std::vector<size_t> CycleFrom(size_t model) const {
    std::vector<size_t> way;
    std::vector<bool> seen(inputs_.size());
    while (!seen[model]) {
      seen[model] = true;
      way.push_back(model);
      model = *std::find_if(inputs_[model].begin(), inputs_[model].end(),
                            [&](size_t input) { return !gone_[input]; });
    }
    way.erase(way.begin(), std::find(way.begin(), way.end(), model));
    return way;
  }

 private:
  const std::vector<std::vector<size_t>>& inputs_;
  std::vector<std::vector<size_t>> consumers_;
  std::vector<size_t> waiting_;  // inputs that are not gone
  std::vector<bool> gone_;
};

// "`a` (pipeline.py:3) reads `b` (b.sql:1), which reads `a`"
std::string Describe(const Pipeline& pipeline, const std::vector<size_t>& cycle) {
  std::string text;
  for (size_t i = 0; i < cycle.size(); ++i) {
    const Step& step = pipeline.models[cycle[i]];
    if (i == kMaxShown) {
      text += fmt::format(" and, {} models further on,", cycle.size() - i);
      break;
    }
    if (i > 0) text += i == 1 ? " reads " : ", which reads ";
    text += fmt::format("`{}` ({}:{})", step.name.text(), step.place.file, step.place.line);
  }
  return text + fmt::format("{} reads `{}`",
                            cycle.size() == 1 || cycle.size() > kMaxShown ? "" : ", which",
                            pipeline.models[cycle.front()].name.text());
}

}  // namespace

void FindCycles(const Pipeline& pipeline, std::vector<Problem>& problems) {
  const auto inputs = InputsOf(pipeline);
  Remaining remaining(inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    while (!remaining.gone(i)) {
      std::vector<size_t> cycle = remaining.CycleFrom(i);
      std::rotate(cycle.begin(), std::min_element(cycle.begin(), cycle.end()), cycle.end());
      const Step& first = pipeline.models[cycle.front()];
      problems.push_back(
          {.file = first.place.file,
           .line = first.place.line,
           .message = fmt::format("model `{}` needs its own result", first.name.text()),
           .cause = Describe(pipeline, cycle)});
      for (const size_t model : cycle) remaining.Remove(model);
    }
  }
}

}  // namespace rundlet::plans
