// Plans and what comes after them, for tests of plans/.
#pragma once

#include <string>
#include <string_view>

#include "plans/plan/planner.h"
#include "tests/unit/plans/documents.h"

namespace rundlet::plans::testing {

inline Plan PlanOf(const Pipeline& pipeline, const Facts& facts, PlanOptions options = {}) {
  if (options.parameters.empty()) options.parameters = BindParameters(pipeline, {});
  return MakePlan(pipeline, facts, options);
}

inline const Task* FindTask(const Plan& plan, TaskKind kind, std::string_view name) {
  for (const Task& task : plan.tasks) {
    if (task.kind == kind && task.name == name) return &task;
  }
  return nullptr;
}

inline const Task& StepTask(const Plan& plan, std::string_view name) {
  for (const PlannedStep& step : plan.steps) {
    if (step.name.text() == name) return plan.task(step.task);
  }
  throw std::out_of_range(std::string(name));
}

// "run: code changed"
inline std::string Outcome(const Task& task) {
  return std::string(NameOf(task.action)) + ": " + task.reason;
}
inline std::string Outcome(const Plan& plan, std::string_view step) {
  return Outcome(StepTask(plan, step));
}

// What is known when every task of the plan that runs has succeeded.
inline Facts AfterRun(const Pipeline& pipeline, const Plan& plan, Facts facts) {
  for (const Task& task : plan.tasks) {
    if (task.action != Action::kRun) continue;
    if (task.kind == TaskKind::kFetch) facts.fetched.insert(task.distribution->sha256);
    if (task.kind == TaskKind::kInstall) {
      facts.installed.insert({task.distribution->sha256, facts.images.at(task.image).interpreter});
    }
  }
  for (const PlannedStep& planned : plan.steps) {
    const Task& task = plan.task(planned.task);
    if (task.action != Action::kRun) continue;
    facts.recorded[planned.name] = planned.parts;
    const Step& step = *FindStep(pipeline, planned.name);
    const bool keeps =
        step.materialize == Materialize::kReplace || step.kind == StepKind::kExpectation;
    if (keeps && !planned.always_runs) facts.results[task.fingerprint] = {10, 2048};
  }
  return facts;
}

}  // namespace rundlet::plans::testing
