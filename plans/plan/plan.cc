#include "plans/plan/plan.h"

namespace rundlet::plans {

std::string_view NameOf(TaskKind kind) {
  switch (kind) {
    case TaskKind::kFetch:
      return "fetch";
    case TaskKind::kInstall:
      return "install";
    case TaskKind::kScan:
      return "scan";
    case TaskKind::kSql:
      return "sql";
    case TaskKind::kPython:
      return "python";
    case TaskKind::kExpect:
      return "expect";
    case TaskKind::kMaterialize:
      return "materialize";
  }
  return {};
}

std::string_view NameOf(Action action) {
  switch (action) {
    case Action::kRun:
      return "run";
    case Action::kCached:
      return "cached";
    case Action::kNotNeeded:
      return "not-needed";
  }
  return {};
}

StepCounts CountSteps(const Plan& plan) {
  StepCounts counts;
  for (const PlannedStep& step : plan.steps) {
    switch (plan.task(step.task).action) {
      case Action::kRun:
        ++counts.run;
        break;
      case Action::kCached:
        ++counts.cached;
        break;
      case Action::kNotNeeded:
        ++counts.not_needed;
        break;
    }
  }
  return counts;
}

}  // namespace rundlet::plans
