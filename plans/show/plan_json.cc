#include <nlohmann/json.hpp>

#include "base/error.h"
#include "plans/show/explain.h"

namespace rundlet::plans {
namespace {

// Members stay in the order written here.
using nlohmann::ordered_json;

constexpr int kVersion = 1;

ordered_json OrNull(const std::string& text) {
  return text.empty() ? ordered_json() : ordered_json(text);
}

ordered_json IdsOf(const std::vector<TaskId>& tasks) {
  ordered_json ids = ordered_json::array();
  for (const TaskId id : tasks) ids.push_back(id.value);
  return ids;
}

ordered_json TaskJson(const Task& task, size_t id) {
  ordered_json object = {{"id", id},
                         {"kind", NameOf(task.kind)},
                         {"name", task.name},
                         {"step", OrNull(task.step.text())},
                         {"table", OrNull(task.table.text())},
                         {"image", OrNull(task.image.text())},
                         {"action", NameOf(task.action)},
                         {"reason", task.reason},
                         {"needs", IdsOf(task.needs)},
                         {"fingerprint", task.fingerprint.hex()},
                         {"kept_result", task.kept_result},
                         {"bytes", task.bytes}};
  if (task.distribution) {
    object["distribution"] = {{"name", task.distribution->name},
                              {"version", task.distribution->version},
                              {"sha256", task.distribution->sha256.hex()}};
  }
  if (task.result) object["result"] = {{"rows", task.result->rows}, {"bytes", task.result->bytes}};
  return object;
}

ordered_json StepJson(const Pipeline& pipeline, const Plan& plan, const PlannedStep& planned) {
  const Step* const step = FindStep(pipeline, planned.name);
  RUNDLET_CHECK(step != nullptr);
  const Task& task = plan.task(planned.task);
  ordered_json reads = ordered_json::array();
  for (const Input& input : step->inputs) reads.push_back(NameOf(input.table));
  ordered_json packages = ordered_json::array();
  ordered_json python;
  for (const FingerprintPart& part : planned.parts) {
    if (part.kind == PartKind::kPackage)
      packages.push_back({{"name", part.name}, {"version", part.value}});
    if (part.kind == PartKind::kImage) python = part.shown;
  }
  return {{"name", step->name.text()},
          {"kind", NameOf(step->kind)},
          {"file", step->place.file},
          {"line", step->place.line},
          {"doc", OrNull(step->doc)},
          {"image", step->image.text()},
          {"python", std::move(python)},
          {"packages", std::move(packages)},
          {"reads", std::move(reads)},
          {"materialize", NameOf(step->materialize)},
          {"network", step->network.text()},
          {"action", NameOf(task.action)},
          {"reason", task.reason},
          {"always_runs", planned.always_runs},
          {"fingerprint", task.fingerprint.hex()},
          {"task", planned.task.value}};
}

}  // namespace

std::string PlanJson(const Pipeline& pipeline, const Plan& plan) {
  ordered_json steps = ordered_json::array();
  for (const PlannedStep& step : plan.steps) steps.push_back(StepJson(pipeline, plan, step));
  ordered_json tasks = ordered_json::array();
  for (size_t id = 0; id < plan.tasks.size(); ++id) tasks.push_back(TaskJson(plan.tasks[id], id));
  const StepCounts counts = CountSteps(plan);
  const ordered_json document = {
      {"version", kVersion},
      {"pipeline", OrNull(pipeline.config.name)},
      {"steps", std::move(steps)},
      {"tasks", std::move(tasks)},
      {"counts",
       {{"run", counts.run}, {"cached", counts.cached}, {"not_needed", counts.not_needed}}}};
  return document.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace rundlet::plans
