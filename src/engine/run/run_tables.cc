#include "engine/run/run_tables.h"

#include <string>
#include <variant>

#include "base/error.h"

namespace rundlet::engine {

using plans::Action;
using plans::Task;
using plans::TaskKind;

RunTables::RunTables(const plans::Plan& plan)
    : plan_(plan), tables_(plan.tasks.size()), readers_(plan.tasks.size()) {
  for (const Task& task : plan.tasks) {
    if (task.action != Action::kRun) continue;
    for (const plans::TaskId need : task.needs) ++readers_[need.value];
  }
}

SharedTable RunTables::For(const Task& task, const plans::InputTable& wanted) const {
  const std::string& name = plans::NameOf(wanted);
  const bool model = std::holds_alternative<plans::StepName>(wanted);
  for (const plans::TaskId need : task.needs) {
    const Task& maker = plan_.task(need);
    const bool makes_table = maker.kind == TaskKind::kScan || maker.kind == TaskKind::kPython ||
                             maker.kind == TaskKind::kSql;
    if (!makes_table || maker.action != Action::kRun) continue;
    if (model ? maker.step.text() == name : maker.table.text() == name) return tables_[need.value];
  }
  RUNDLET_CHECK(false);
  return nullptr;
}

RunTables::Reading::~Reading() {
  if (tables_.readers_[task_] == 0) tables_.tables_[task_].reset();
  for (const plans::TaskId need : tables_.plan_.tasks[task_].needs) {
    if (--tables_.readers_[need.value] == 0) tables_.tables_[need.value].reset();
  }
}

}  // namespace rundlet::engine
