#include "engine/run_pipeline.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>

#include "base/fs.h"
#include "base/text.h"
#include "engine/environments.h"
#include "engine/jobs.h"
#include "engine/kept_inputs.h"
#include "engine/package_uses.h"
#include "engine/step.h"
#include "engine/step_sandbox.h"
#include "engine/step_values.h"
#include "engine/tables.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;
using plans::Action;
using plans::Task;
using plans::TaskKind;

// Tasks of these kinds run in the engine's own environment: duckdb and pyarrow.
bool UsesEngineEnvironment(TaskKind kind) {
  return kind == TaskKind::kSql || kind == TaskKind::kScan || kind == TaskKind::kMaterialize;
}

// What this host cannot give to a step that would run is told before any of them does.
void CheckAllLimits(Engine& engine, const PlannedProject& planned) {
  for (const Task& task : planned.plan.tasks) {
    const plans::Step* step = task.action == Action::kRun && !task.step.empty()
                                  ? FindStep(planned.pipeline, task.step)
                                  : nullptr;
    if (step != nullptr)
      CheckLimits(engine, LimitsOf(*step), fmt::format("step `{}`", step->name.text()));
  }
}

std::vector<std::string> TextsOf(const std::vector<std::string>& columns) { return columns; }

// One run of a plan: what its tasks make for each other, and what is recorded.
class PipelineRun {
 public:
  PipelineRun(Engine& engine, const Project& project, const PlannedProject& planned,
              EventBus& events, const base::CancelToken* cancel)
      : engine_(engine),
        planned_(planned),
        events_(events),
        cancel_(cancel),
        run_(engine.store(), {.id = {},
                              .project = planned.name,
                              .path = project.root,
                              .id_base = engine.config().ids.base,
                              .id_count = engine.config().ids.count,
                              .steps = {}}),
        keeper_(engine, run_),
        results_(planned.plan.tasks.size()),
        readers_(planned.plan.tasks.size()) {
    const base::UniqueFd files = base::OpenAt(run_.dir(), "project", O_RDONLY | O_DIRECTORY);
    WriteProject(project, files.get());
    RecordPackageUses(run_, planned);
    RecordSandboxes(run_, planned);
    summary_.resolved = planned.resolved;
  }

  RunSummary Carry() {
    std::vector<size_t> job_of(planned_.plan.tasks.size());
    std::vector<size_t> task_of;
    std::vector<Job> jobs;
    for (size_t id = 0; id < planned_.plan.tasks.size(); ++id) {
      const Task& task = planned_.plan.tasks[id];
      CountPackages(task);
      if (task.action != Action::kRun) {
        NoteIdle(task);
        continue;
      }
      Job job = {.lane = task.kind == TaskKind::kFetch ? Lane::kNetwork : Lane::kCompute,
                 .run =
                     [this, id] {
                       const Reading reading(*this, id);
                       RunTask(id);
                     },
                 .skip =
                     [this, id, &task_of](size_t cause) {
                       const Reading reading(*this, id);
                       Skip(id, task_of[cause]);
                     }};
      for (const plans::TaskId need : task.needs) {
        if (planned_.plan.task(need).action != Action::kRun) continue;
        job.needs.push_back(job_of[need.value]);
        ++readers_[need.value];
      }
      job_of[id] = jobs.size();
      task_of.push_back(id);
      jobs.push_back(std::move(job));
    }
    const std::vector<JobResult> ends = RunJobs(jobs, {.compute = engine_.config().cores}, cancel_);
    return Conclude(task_of, ends);
  }

 private:
  // A task's use of the tables it needs. A table whose last reader has ended is dropped, and its
  // memory with it.
  class Reading {
   public:
    Reading(PipelineRun& run, size_t id) : run_(run), id_(id) {}
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading() {
      if (run_.readers_[id_] == 0) run_.results_[id_].table.reset();
      for (const plans::TaskId need : run_.planned_.plan.tasks[id_].needs) {
        if (run_.planned_.plan.task(need).action != Action::kRun) continue;
        if (--run_.readers_[need.value] == 0) run_.results_[need.value].table.reset();
      }
    }

   private:
    PipelineRun& run_;
    size_t id_;
  };

  const std::string& LabelOf(const Task& task) const {
    return task.step.empty() ? task.name : task.step.text();
  }

  // "delays", "materialize delays": what events and records call a task.
  std::string NameFor(const Task& task) const {
    if (task.kind == TaskKind::kMaterialize || task.kind == TaskKind::kScan) {
      return fmt::format("{} {}", plans::NameOf(task.kind), LabelOf(task));
    }
    return LabelOf(task);
  }

  static bool IsPackageTask(const Task& task) {
    return task.kind == TaskKind::kFetch || task.kind == TaskKind::kInstall;
  }

  void CountPackages(const Task& task) {
    if (task.kind == TaskKind::kFetch && task.action == Action::kRun) ++summary_.fetched;
    if (task.kind == TaskKind::kInstall)
      ++(task.action == Action::kRun ? summary_.installed : summary_.reused);
  }

  void NoteIdle(const Task& task) {
    if (IsPackageTask(task)) return;
    events_.Send({.kind = EventKind::kCached,
                  .task = NameFor(task),
                  .phase = std::string(plans::NameOf(task.kind)),
                  .text = task.reason});
    Record({.name = LabelOf(task),
            .kind = std::string(plans::NameOf(task.kind)),
            .result = task.action == Action::kCached ? "cached" : "not-needed",
            .message = task.reason});
    if (task.kind == TaskKind::kPython || task.kind == TaskKind::kSql) PreviewKept(task);
  }

  // What the step's own run showed, from the record of what it made.
  void PreviewKept(const Task& task) {
    const auto table = FindTable(engine_.store(), planned_.name, task.step.text());
    if (!table.has_value() || table->fingerprint != task.fingerprint) return;
    summary_.previews.push_back({task.step.text(), table->columns, table->preview, table->rows()});
  }

  void Record(StepRecord record) {
    const std::lock_guard guard(mutex_);
    run_.record().steps.push_back(std::move(record));
  }

  void Skip(size_t id, size_t cause) {
    const Task& task = planned_.plan.tasks[id];
    const std::string why = fmt::format("`{}` failed", NameFor(planned_.plan.tasks[cause]));
    const bool itself_skipped = skipped_.contains(cause);
    skipped_.insert(id);
    if (IsPackageTask(task)) return;
    const std::string text =
        itself_skipped ? fmt::format("`{}` was skipped", NameFor(planned_.plan.tasks[cause])) : why;
    events_.Send({.kind = EventKind::kSkipped,
                  .task = NameFor(task),
                  .phase = std::string(plans::NameOf(task.kind)),
                  .text = text});
    Record({.name = LabelOf(task),
            .kind = std::string(plans::NameOf(task.kind)),
            .result = "skipped",
            .message = text});
  }

  void RunTask(size_t id) {
    const Task& task = planned_.plan.tasks[id];
    if (task.kind == TaskKind::kFetch)
      return FetchOne(engine_, DistributionOf(task), events_, cancel_);
    if (task.kind == TaskKind::kInstall) {
      return InstallOne(engine_, planned_.images.at(task.image), DistributionOf(task), events_,
                        cancel_);
    }
    StepRecord record = {
        .name = LabelOf(task), .kind = std::string(plans::NameOf(task.kind)), .result = "done"};
    record.network = NetworkOf(task).text();
    try {
      Report(events_, NameFor(task), record.kind, [&](Event& finished) {
        StepUsage usage;
        const auto note = [&] {
          finished.peak_memory = record.peak_memory = usage.peak_memory;
          finished.cpu_time = usage.cpu_time;
          record.cpu_seconds = std::chrono::duration<double>(usage.cpu_time).count();
          record.seconds = std::chrono::duration<double>(usage.duration).count();
        };
        try {
          const StepResult& result = RunWithRetries(id, usage);
          finished.rows = record.rows = result.rows;
          finished.text = result.message;
          note();
        } catch (const Error&) {
          note();
          throw;
        }
      });
      Record(std::move(record));
    } catch (const base::Cancelled&) {
      record.result = "interrupted";
      Record(std::move(record));
      throw;
    } catch (const Error& error) {
      record.result = "failed";
      record.message = error.Render();
      record.inputs = KeepInputs(task);
      Record(std::move(record));
      throw;
    }
  }

  const StepResult& RunWithRetries(size_t id, StepUsage& usage) {
    const Task& task = planned_.plan.tasks[id];
    const plans::Step* step = FindStep(planned_.pipeline, task.step);
    const bool user_step = task.kind == TaskKind::kPython || task.kind == TaskKind::kSql;
    const uint32_t retries = user_step && step != nullptr ? step->limits.retries : 0;
    for (uint32_t attempt = 0;; ++attempt) {
      try {
        return results_[id] = RunOnce(id, attempt, usage);
      } catch (const base::Cancelled&) {
        throw;
      } catch (const Error& error) {
        if (attempt == retries || error.fault() != Fault::kStep) throw;
        events_.Send(
            {.kind = EventKind::kNote,
             .task = NameFor(task),
             .text = fmt::format("failed, trying again ({} of {})", attempt + 1, retries)});
      }
    }
  }

  const rootfs::Distribution& DistributionOf(const Task& task) const {
    const auto find = [&task](const rootfs::Lock& lock) -> const rootfs::Distribution* {
      for (const rootfs::Distribution& candidate : lock.distributions) {
        if (candidate.sha256 == task.distribution->sha256) return &candidate;
      }
      return nullptr;
    };
    for (const auto* locks : {&planned_.engine_locks}) {
      for (const auto& [name, lock] : *locks) {
        if (const auto* found = find(lock)) return *found;
      }
    }
    for (const auto& [name, lock] : planned_.locks) {
      if (const auto* found = find(lock)) return *found;
    }
    RUNDLET_CHECK(false);
    throw std::logic_error("not reached");
  }

  // The table an input reads, of one of the tasks that this one waits for: a step that ran, or the
  // scan that brings a kept result or a source.
  SharedTable TableFor(const Task& task, const plans::InputTable& wanted) const {
    const std::string& name = plans::NameOf(wanted);
    const bool model = std::holds_alternative<plans::StepName>(wanted);
    for (const plans::TaskId need : task.needs) {
      const Task& maker = planned_.plan.task(need);
      const bool makes_table = maker.kind == TaskKind::kScan || maker.kind == TaskKind::kPython ||
                               maker.kind == TaskKind::kSql;
      if (!makes_table || maker.action != Action::kRun) continue;
      if (model ? maker.step.text() == name : maker.table.text() == name)
        return results_[need.value].table;
    }
    RUNDLET_CHECK(false);
    return nullptr;
  }

  StepTask BaseTask(size_t id, uint32_t attempt, const ReadyEnvironment& ready) const {
    const Task& task = planned_.plan.tasks[id];
    StepTask step = {.kind = {}, .label = LabelOf(task)};
    step.image = &planned_.images.at(task.image);
    step.environment = &ready.environment;
    step.project = run_.directory() + "/project";
    step.out = fmt::format("{}/steps/{}-{}", run_.directory(), id, attempt);
    return step;
  }

  StepResult RunOnce(size_t id, uint32_t attempt, StepUsage& usage) {
    const Task& task = planned_.plan.tasks[id];
    const rootfs::Image& image = planned_.images.at(task.image);
    const rootfs::Lock& lock = UsesEngineEnvironment(task.kind)
                                   ? planned_.engine_locks.at(task.image)
                                   : planned_.locks.at(task.step);
    const ReadyEnvironment ready = ComposeEnvironment(engine_, image, lock, cancel_);
    StepTask step = BaseTask(id, attempt, ready);
    switch (task.kind) {
      case TaskKind::kFetch:
      case TaskKind::kInstall:
        RUNDLET_CHECK(false);
        break;
      case TaskKind::kScan:
        return Scan(task, std::move(step), usage);
      case TaskKind::kMaterialize:
        return Materialize(task, std::move(step), usage);
      case TaskKind::kSql:
      case TaskKind::kPython:
      case TaskKind::kExpect:
        return RunUserStep(task, std::move(step), usage);
    }
    return {};
  }

  LineCallback LogOf(const Task& task) {
    const std::string name = LabelOf(task);
    auto file = std::make_shared<base::UniqueFd>(base::OpenAt(
        run_.dir(), fmt::format("logs/{}.log", name), O_WRONLY | O_CREAT | O_APPEND, 0600));
    return [this, name, file](std::string_view line) {
      base::WriteFd(file->get(), std::string(line) + "\n", "a step's log");
      events_.Send({.kind = EventKind::kLog, .task = name, .text = std::string(line)});
    };
  }

  // Of the user's code; what rundlet does for it has none.
  plans::Network NetworkOf(const Task& task) const {
    return IsUserTask(task) ? FindStep(planned_.pipeline, task.step)->network : plans::Network{};
  }

  static bool IsUserTask(const Task& task) {
    return task.kind == TaskKind::kPython || task.kind == TaskKind::kSql ||
           task.kind == TaskKind::kExpect;
  }

  std::vector<StepInput> InputsOf(const Task& task, const plans::Step& step) const {
    std::vector<StepInput> inputs;
    for (const plans::Input& input : step.inputs) {
      inputs.push_back({.argument = input.argument,
                        .model = plans::NameOf(input.table),
                        .table = TableFor(task, input.table),
                        .columns = input.columns.has_value() ? TextsOf(*input.columns)
                                                             : std::vector<std::string>{},
                        .all_columns = !input.columns.has_value(),
                        .filter = input.filter});
    }
    return inputs;
  }

  // What a step of the user's failed on.
  std::vector<InputRecord> KeepInputs(const Task& task) {
    if (!IsUserTask(task)) return {};
    const plans::Step& step = *FindStep(planned_.pipeline, task.step);
    std::vector<InputRecord> kept = keeper_.Keep(InputsOf(task, step), cancel_);
    for (const InputRecord& input : kept) {
      if (input.missing.empty()) continue;
      events_.Send({.kind = EventKind::kNote,
                    .task = NameFor(task),
                    .text = fmt::format("input `{}` is not kept: {}", input.table, input.missing)});
    }
    return kept;
  }

  StepResult RunUserStep(const Task& task, StepTask run, StepUsage& usage) {
    const plans::Step& step = *FindStep(planned_.pipeline, task.step);
    run.kind =
        step.kind == plans::StepKind::kExpectation ? "expectation" : plans::NameOf(step.kind);
    run.file = step.place.file;
    run.function = step.function;
    run.sql = step.sql;
    run.parameters = ParametersOf(step, planned_.parameters);
    run.inputs = InputsOf(task, step);
    run.output =
        step.kind == plans::StepKind::kExpectation ? StepOutput::kNone : StepOutput::kTable;
    for (const auto& [name, value] : step.environment) run.variables.emplace_back(name, value);
    run.network = NetworkOf(task);
    run.limits = LimitsOf(step);
    StepResult result = RunStep(engine_, run, LogOf(task), cancel_, usage);
    if (step.kind == plans::StepKind::kExpectation && !result.held.value_or(false)) {
      throw Error(Fault::kStep, fmt::format("expectation `{}` does not hold", step.name.text()))
          .Because(result.message.empty() ? std::string("it says so without a reason")
                                          : result.message);
    }
    Remember(task, step, result);
    return result;
  }

  // A model that is kept is remembered when its table is: until then a later run must make it
  // again.
  void Remember(const Task& task, const plans::Step& step, const StepResult& result) {
    for (const plans::PlannedStep& planned : planned_.plan.steps) {
      if (planned.name != step.name) continue;
      RecordParts(engine_, planned_.name, planned);
      if (step.kind == plans::StepKind::kExpectation && !planned.always_runs) {
        RecordHeld(engine_, task.fingerprint, result.rows.value_or(0));
      }
    }
    const std::lock_guard guard(mutex_);
    if (step.kind == plans::StepKind::kExpectation) return;
    summary_.previews.push_back(
        {step.name.text(), result.columns, result.preview, result.rows.value_or(0)});
  }

  StepResult Scan(const Task& task, StepTask run, StepUsage& usage) {
    StepSource source;
    if (task.table.empty()) {
      const std::optional<Table> table =
          FindTable(engine_.store(), planned_.name, task.step.text());
      if (!table.has_value()) {
        throw Error(Fault::kHost, fmt::format("reading the kept result of `{}`", task.step.text()))
            .Because("it was removed while it was wanted")
            .Hint("run the command again");
      }
      const base::UniqueFd dir =
          base::OpenAt(engine_.store().dir(), table->Directory(), O_RDONLY | O_DIRECTORY);
      for (const TableFile& file : table->files)
        source.files.push_back(base::OpenAt(dir.get(), file.file, O_PATH));
      source.format = "parquet";
      source.table = task.step.text();
    } else {
      for (const std::string& path : planned_.sources.at(task.table)) {
        source.files.push_back(base::OpenHostPath(path, O_PATH));
      }
      source.format = plans::NameOf(planned_.pipeline.config.tables.at(task.table).format);
      source.table = task.table.text();
    }
    run.kind = "scan";
    run.project.clear();
    run.source = &source;
    run.output = StepOutput::kTable;
    return RunStep(engine_, run, LogOf(task), cancel_, usage);
  }

  StepResult Materialize(const Task& task, StepTask run, StepUsage& usage) {
    const plans::Step& step = *FindStep(planned_.pipeline, task.step);
    run.kind = "materialize";
    run.project.clear();
    run.output = StepOutput::kParquet;
    run.inputs = {{.argument = step.name.text(),
                   .model = step.name.text(),
                   .table = TableFor(task, step.name),
                   .columns = {},
                   .filter = {}}};
    const std::string out = run.out;
    StepResult result = RunStep(engine_, run, LogOf(task), cancel_, usage);
    const auto planned =
        std::find_if(planned_.plan.steps.begin(), planned_.plan.steps.end(),
                     [&step](const plans::PlannedStep& one) { return one.name == step.name; });
    const bool repeatable = planned != planned_.plan.steps.end() && !planned->always_runs;
    const Task& maker = planned_.plan.task(planned->task);
    CommitTable(engine_.store(),
                {.project = planned_.name,
                 .name = step.name.text(),
                 .source = out + "/table.parquet",
                 .columns = result.columns,
                 .preview = result.preview,
                 .rows = result.rows.value_or(0),
                 .run = run_.id(),
                 .fingerprint = repeatable ? std::optional(maker.fingerprint) : std::nullopt,
                 .mode = step.materialize == plans::Materialize::kAppend ? CommitMode::kAppend
                                                                         : CommitMode::kReplace});
    return result;
  }

  RunSummary Conclude(const std::vector<size_t>& task_of, const std::vector<JobResult>& ends) {
    bool cancelled = false;
    for (size_t job = 0; job < ends.size(); ++job) {
      cancelled = cancelled || ends[job].end == JobEnd::kCancelled;
      if (ends[job].end != JobEnd::kFailed) continue;
      try {
        std::rethrow_exception(ends[job].error);
      } catch (const Error& error) {
        summary_.errors.push_back(error);
      } catch (const std::exception& error) {
        summary_.errors.push_back(
            Error(Fault::kBug,
                  fmt::format("running `{}`", NameFor(planned_.plan.tasks[task_of[job]])))
                .Because(error.what()));
      }
    }
    const RunState state = cancelled                 ? RunState::kInterrupted
                           : summary_.errors.empty() ? RunState::kSucceeded
                                                     : RunState::kFailed;
    run_.Finish(state);
    SortPreviews();
    if (cancelled) throw base::Cancelled("interrupted");
    if (!summary_.errors.empty())
      summary_.exit_code = static_cast<int>(summary_.errors.front().fault());
    summary_.record = run_.record();
    return std::move(summary_);
  }

  // In the plan's order, whichever ended first.
  void SortPreviews() {
    const auto place = [this](const Preview& preview) {
      return std::find_if(planned_.plan.steps.begin(), planned_.plan.steps.end(),
                          [&preview](const auto& one) { return one.name.text() == preview.step; });
    };
    std::sort(summary_.previews.begin(), summary_.previews.end(),
              [&place](const Preview& a, const Preview& b) { return place(a) < place(b); });
  }

  Engine& engine_;
  const PlannedProject& planned_;
  EventBus& events_;
  const base::CancelToken* cancel_;
  Run run_;
  InputKeeper keeper_;
  std::mutex mutex_;          // guards summary_ and the run's record
  std::set<size_t> skipped_;  // tasks; touched under the job graph's own lock only
  std::vector<StepResult>
      results_;  // by task; written by the task's thread before those that need it start
  // By task: those that run, need it, and have not ended.
  std::vector<std::atomic<size_t>> readers_;
  RunSummary summary_;
};

}  // namespace

RunSummary RunPipeline(Engine& engine, const Project& project, const PlannedProject& planned,
                       EventBus& events, const base::CancelToken* cancel) {
  CheckAllLimits(engine, planned);
  return PipelineRun(engine, project, planned, events, cancel).Carry();
}

}  // namespace rundlet::engine
