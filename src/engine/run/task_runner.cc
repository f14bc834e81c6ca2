#include "engine/run/task_runner.h"

#include <fcntl.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/fs.h"
#include "base/text.h"
#include "base/walls.h"
#include "data/tables/tables.h"
#include "engine/project/step_values.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;
using plans::Task;
using plans::TaskKind;

// What a step prints, on the disk: so much of it. Whoever watches sees all.
class StepLog {
 public:
  explicit StepLog(base::UniqueFd file) : file_(std::move(file)) {}

  void Add(std::string_view line) {
    if (full_) return;
    full_ = base::Holds(base::Wall::kLog) && line.size() >= left_;
    if (!full_) left_ -= line.size() + 1;
    base::WriteFd(file_.get(),
                  full_ ? "[rundlet: the log is full at 64 MiB]\n" : std::string(line) + "\n",
                  "a step's log");
  }

 private:
  const base::UniqueFd file_;
  size_t left_ = size_t{64} << 20;
  bool full_ = false;
};

// Tasks of these kinds run in the engine's own environment: duckdb and pyarrow.
bool UsesEngineEnvironment(TaskKind kind) {
  return kind == TaskKind::kSql || kind == TaskKind::kScan || kind == TaskKind::kMaterialize;
}

bool IsUserTask(const Task& task) {
  return task.kind == TaskKind::kPython || task.kind == TaskKind::kSql ||
         task.kind == TaskKind::kExpect;
}

}  // namespace

const std::string& LabelOf(const Task& task) {
  return task.step.empty() ? task.name : task.step.text();
}

std::string NameFor(const Task& task) {
  if (task.kind == TaskKind::kMaterialize || task.kind == TaskKind::kScan) {
    return fmt::format("{} {}", plans::NameOf(task.kind), LabelOf(task));
  }
  return LabelOf(task);
}

bool IsPackageTask(const Task& task) {
  return task.kind == TaskKind::kFetch || task.kind == TaskKind::kInstall;
}

TaskRunner::TaskRunner(Engine& engine, const PlannedProject& planned, data::Run& run,
                       EventBus& events, const base::CancelToken* cancel)
    : engine_(engine),
      planned_(planned),
      run_(run),
      events_(events),
      cancel_(cancel),
      fetcher_(engine, events, cancel),
      keeper_(engine, run),
      tables_(planned.plan) {
  const auto installs = [](const Task& task) {
    return task.kind == TaskKind::kInstall && task.action == plans::Action::kRun;
  };
  // Where nothing is installed, every step finds its whole environment at once.
  if (std::none_of(planned.plan.tasks.begin(), planned.plan.tasks.end(), installs)) return;
  for (const Task& task : planned.plan.tasks) {
    if (task.kind != TaskKind::kInstall) continue;
    const rootfs::Interpreter& interpreter = planned.images.at(task.image).interpreter;
    held_.push_back(HoldParts(engine, DistributionOf(task), interpreter));
  }
}

void TaskRunner::RunPackageTask(size_t id) {
  const Task& task = planned_.plan.tasks[id];
  const rootfs::Distribution& distribution = DistributionOf(task);
  if (task.kind == TaskKind::kFetch) return fetcher_.Fetch(distribution);
  InstallOne(engine_, planned_.images.at(task.image), distribution,
             BytecodeOf({static_cast<uint32_t>(id)}), events_, cancel_);
}

const rootfs::Lock& TaskRunner::LockOf(const Task& task) const {
  return UsesEngineEnvironment(task.kind) ? planned_.engine_locks.at(task.image)
                                          : planned_.locks.at(task.step);
}

// One step starts without, and compiles what it imports for itself. Several that each did so would
// take longer than the wait.
Bytecode TaskRunner::BytecodeOf(plans::TaskId install) const {
  size_t users = 0;
  for (const Task& task : planned_.plan.tasks) {
    const bool uses = std::find(task.needs.begin(), task.needs.end(), install) != task.needs.end();
    if (task.action != plans::Action::kRun || !uses) continue;
    if (IsFlat(LockOf(task))) return Bytecode::kNow;
    ++users;
  }
  return users > 1 ? Bytecode::kNow : Bytecode::kLater;
}

StepResult TaskRunner::RunOne(size_t id, uint32_t attempt, StepUsage& usage) {
  const Task& task = planned_.plan.tasks[id];
  const ReadyEnvironment ready =
      ComposeEnvironment(engine_, planned_.images.at(task.image), LockOf(task), cancel_);
  StepTask step = BaseTask(id, attempt, ready.environment);
  StepResult result;
  switch (task.kind) {
    case TaskKind::kFetch:
    case TaskKind::kInstall:
      RUNDLET_CHECK(false);
      break;
    case TaskKind::kScan:
      result = Scan(task, std::move(step), usage);
      break;
    case TaskKind::kMaterialize:
      result = Materialize(task, std::move(step), usage);
      break;
    case TaskKind::kSql:
    case TaskKind::kPython:
    case TaskKind::kExpect:
      result = RunUserStep(task, std::move(step), usage);
      break;
  }
  tables_.Put(id, std::move(result.table));
  return result;
}

plans::Network TaskRunner::NetworkOf(const Task& task) const {
  return IsUserTask(task) ? StepOf(task).network : plans::Network{};
}

std::vector<data::InputRecord> TaskRunner::KeepInputs(const Task& task) {
  if (!IsUserTask(task)) return {};
  std::vector<data::InputRecord> kept = keeper_.Keep(InputsOf(task, StepOf(task)), cancel_);
  for (const data::InputRecord& input : kept) {
    if (input.missing.empty()) continue;
    events_.Send({.kind = EventKind::kNote,
                  .task = NameFor(task),
                  .text = fmt::format("input `{}` is not kept: {}", input.table, input.missing)});
  }
  return kept;
}

const plans::PlannedStep& TaskRunner::PlannedOf(const plans::StepName& name) const {
  const auto planned =
      std::find_if(planned_.plan.steps.begin(), planned_.plan.steps.end(),
                   [&name](const plans::PlannedStep& one) { return one.name == name; });
  RUNDLET_CHECK(planned != planned_.plan.steps.end());
  return *planned;
}

const Task& TaskRunner::MakerOf(const plans::StepName& name) const {
  return planned_.plan.task(PlannedOf(name).task);
}

const plans::Step& TaskRunner::StepOf(const Task& task) const {
  return *FindStep(planned_.pipeline, task.step);
}

const rootfs::Distribution& TaskRunner::DistributionOf(const Task& task) const {
  const rootfs::Distribution* found = nullptr;
  const auto look = [&](const auto& locks) {
    for (const auto& [name, lock] : locks) {
      for (const rootfs::Distribution& candidate : lock.distributions) {
        if (candidate.sha256 == task.distribution->sha256) found = &candidate;
      }
    }
  };
  look(planned_.engine_locks);
  look(planned_.locks);
  RUNDLET_CHECK(found != nullptr);
  return *found;
}

StepTask TaskRunner::BaseTask(size_t id, uint32_t attempt,
                              const rootfs::Environment& environment) const {
  const Task& task = planned_.plan.tasks[id];
  StepTask step = {.kind = {}, .label = LabelOf(task)};
  step.image = &planned_.images.at(task.image);
  step.environment = &environment;
  step.project = run_.directory() + "/project";
  if (task.kind == TaskKind::kMaterialize)
    step.out = fmt::format("{}/steps/{}-{}", run_.directory(), id, attempt);
  return step;
}

LineCallback TaskRunner::LogOf(const Task& task) {
  const std::string name = LabelOf(task);
  auto log = std::make_shared<StepLog>(base::OpenAt(run_.dir(), fmt::format("logs/{}.log", name),
                                                    O_WRONLY | O_CREAT | O_APPEND, 0600));
  return [this, name, log](std::string_view line) {
    log->Add(line);
    events_.Send({.kind = EventKind::kLog, .task = name, .text = std::string(line)});
  };
}

std::vector<StepInput> TaskRunner::InputsOf(const Task& task, const plans::Step& step) const {
  std::vector<StepInput> inputs;
  for (const plans::Input& input : step.inputs) {
    inputs.push_back({.argument = input.argument,
                      .model = plans::NameOf(input.table),
                      .table = tables_.For(task, input.table),
                      .columns = input.columns.value_or(std::vector<std::string>{}),
                      .all_columns = !input.columns.has_value(),
                      .filter = input.filter});
  }
  return inputs;
}

StepResult TaskRunner::RunUserStep(const Task& task, StepTask run, StepUsage& usage) {
  const plans::Step& step = StepOf(task);
  const bool expectation = step.kind == plans::StepKind::kExpectation;
  run.kind = expectation ? "expectation" : plans::NameOf(step.kind);
  run.file = step.place.file;
  run.function = step.function;
  run.sql = step.sql;
  run.parameters = ParametersOf(step, planned_.parameters);
  run.inputs = InputsOf(task, step);
  run.output = expectation ? StepOutput::kNone : StepOutput::kTable;
  for (const auto& [name, value] : step.environment) run.variables.emplace_back(name, value);
  run.network = step.network;
  run.limits = LimitsOf(step);
  StepResult result = RunStep(engine_, run, LogOf(task), cancel_, usage);
  if (expectation && !result.held.value_or(false)) {
    throw Error(Fault::kStep, fmt::format("expectation `{}` does not hold", step.name.text()))
        .Because(result.message.empty() ? std::string("it says so without a reason")
                                        : result.message);
  }
  Remember(task, step, result);
  return result;
}

// A model that is kept is remembered when its table is: until then a later run must make it again.
void TaskRunner::Remember(const Task& task, const plans::Step& step, const StepResult& result) {
  const plans::PlannedStep& planned = PlannedOf(step.name);
  RecordParts(engine_, planned_.name, planned);
  if (step.kind == plans::StepKind::kExpectation && !planned.always_runs)
    RecordHeld(engine_, task.fingerprint, result.rows.value_or(0));
}

StepSource TaskRunner::KeptResult(const Task& task) const {
  std::optional<data::OpenedTable> opened =
      data::OpenTable(engine_.store(), planned_.name, task.step.text());
  const bool wanted =
      opened.has_value() && opened->table.fingerprint == MakerOf(task.step).fingerprint;
  if (!wanted) {
    throw Error(Fault::kHost, fmt::format("reading the kept result of `{}`", task.step.text()))
        .Because(fmt::format("it was {} while it was wanted",
                             opened.has_value() ? "replaced by another run" : "removed"))
        .Hint("run the command again");
  }
  return {.files = std::move(opened->files), .table = task.step.text(), .format = "parquet"};
}

StepSource TaskRunner::HostFiles(const Task& task) const {
  const plans::TableFormat format = planned_.pipeline.config.tables.at(task.table).format;
  StepSource source = {
      .files = {}, .table = task.table.text(), .format = std::string(plans::NameOf(format))};
  for (const std::string& path : planned_.sources.at(task.table))
    source.files.push_back(base::OpenHostPath(path, O_PATH));
  return source;
}

StepResult TaskRunner::Scan(const Task& task, StepTask run, StepUsage& usage) {
  const StepSource source = task.table.empty() ? KeptResult(task) : HostFiles(task);
  run.kind = "scan";
  run.project.clear();
  run.source = &source;
  run.output = StepOutput::kTable;
  return RunStep(engine_, run, LogOf(task), cancel_, usage);
}

StepResult TaskRunner::Materialize(const Task& task, StepTask run, StepUsage& usage) {
  const plans::Step& step = StepOf(task);
  run.kind = "materialize";
  run.project.clear();
  run.output = StepOutput::kParquet;
  run.inputs = {{.argument = step.name.text(),
                 .model = step.name.text(),
                 .table = tables_.For(task, step.name),
                 .columns = {},
                 .filter = {}}};
  const std::string out = run.out;
  StepResult result = RunStep(engine_, run, LogOf(task), cancel_, usage);
  const plans::PlannedStep& planned = PlannedOf(step.name);
  data::CommitTable(
      engine_.store(),
      {.project = planned_.name,
       .name = step.name.text(),
       .source = out + "/table.parquet",
       .columns = result.columns,
       .preview = result.preview,
       .rows = result.rows.value_or(0),
       .run = run_.id(),
       .fingerprint =
           planned.always_runs ? std::nullopt : std::optional(MakerOf(step.name).fingerprint),
       .mode = step.materialize == plans::Materialize::kAppend ? data::CommitMode::kAppend
                                                               : data::CommitMode::kReplace});
  return result;
}

}  // namespace rundlet::engine
