#include "engine/run/run_pipeline.h"

#include <fcntl.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "base/fs.h"
#include "base/text.h"
#include "data/tables/tables.h"
#include "engine/core/jobs.h"
#include "engine/project/step_values.h"
#include "engine/run/package_uses.h"
#include "engine/run/step_sandbox.h"
#include "engine/run/task_runner.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;
using plans::Action;
using plans::Task;
using plans::TaskKind;

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

// One run of a plan: the order of its tasks, and what is told and recorded of them.
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
        tasks_(engine, planned, run_, events, cancel) {
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
                       const RunTables::Reading reading(tasks_.tables(), id);
                       RunTask(id);
                     },
                 .skip =
                     [this, id, &task_of](size_t cause) {
                       const RunTables::Reading reading(tasks_.tables(), id);
                       Skip(id, task_of[cause]);
                     }};
      for (const plans::TaskId need : task.needs) {
        if (planned_.plan.task(need).action != Action::kRun) continue;
        job.needs.push_back(job_of[need.value]);
      }
      job_of[id] = jobs.size();
      task_of.push_back(id);
      jobs.push_back(std::move(job));
    }
    const JobLimits limits = {.network = WheelFetcher::kMostCallers,
                              .compute = engine_.config().cores};
    const std::vector<JobResult> ends = RunJobs(jobs, limits, cancel_);
    return Conclude(task_of, ends);
  }

 private:
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
    const auto table = data::FindTable(engine_.store(), planned_.name, task.step.text());
    if (!table.has_value() || table->fingerprint != task.fingerprint) return;
    summary_.previews.push_back({task.step.text(), table->columns, table->preview, table->rows()});
  }

  void Record(data::StepRecord record) {
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
    if (IsPackageTask(task)) return tasks_.RunPackageTask(id);
    data::StepRecord record = {
        .name = LabelOf(task), .kind = std::string(plans::NameOf(task.kind)), .result = "done"};
    record.network = tasks_.NetworkOf(task).text();
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
          const StepResult result = RunWithRetries(id, usage);
          finished.rows = record.rows = result.rows;
          finished.text = result.message;
          note();
          AddPreview(task, result);
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
      record.inputs = tasks_.KeepInputs(task);
      Record(std::move(record));
      throw;
    }
  }

  // Of models; an expectation has nothing to show.
  void AddPreview(const Task& task, const StepResult& result) {
    if (task.kind != TaskKind::kPython && task.kind != TaskKind::kSql) return;
    const std::lock_guard guard(mutex_);
    summary_.previews.push_back(
        {task.step.text(), result.columns, result.preview, result.rows.value_or(0)});
  }

  StepResult RunWithRetries(size_t id, StepUsage& usage) {
    const Task& task = planned_.plan.tasks[id];
    const plans::Step* step = FindStep(planned_.pipeline, task.step);
    const bool user_step = task.kind == TaskKind::kPython || task.kind == TaskKind::kSql;
    const uint32_t retries = user_step && step != nullptr ? step->limits.retries : 0;
    for (uint32_t attempt = 0;; ++attempt) {
      try {
        return tasks_.RunOne(id, attempt, usage);
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
    const data::RunState state = cancelled                 ? data::RunState::kInterrupted
                                 : summary_.errors.empty() ? data::RunState::kSucceeded
                                                           : data::RunState::kFailed;
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
  data::Run run_;
  TaskRunner tasks_;
  std::mutex mutex_;          // guards summary_ and the run's record
  std::set<size_t> skipped_;  // tasks; touched under the job graph's own lock only
  RunSummary summary_;
};

}  // namespace

RunSummary RunPipeline(Engine& engine, const Project& project, const PlannedProject& planned,
                       EventBus& events, const base::CancelToken* cancel) {
  CheckAllLimits(engine, planned);
  return PipelineRun(engine, project, planned, events, cancel).Carry();
}

}  // namespace rundlet::engine
