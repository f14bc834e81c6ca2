// What each task of a plan does when its turn has come. Order, retries and records are
// run_pipeline's.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "data/history/runs.h"
#include "engine/core/capture.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "engine/packages/environments.h"
#include "engine/packages/wheel_fetcher.h"
#include "engine/project/plan_project.h"
#include "engine/run/kept_inputs.h"
#include "engine/run/run_tables.h"
#include "engine/run/step.h"
#include "plans/plan/plan.h"

namespace rundlet::engine {

// "delays": whose task it is.
const std::string& LabelOf(const plans::Task& task);
// "delays", "materialize delays": what events and records call it.
std::string NameFor(const plans::Task& task);
// A fetch or an install.
bool IsPackageTask(const plans::Task& task);

// All references outlive it. Thread safety: different tasks may run in several threads, each after
// those it needs.
class TaskRunner {
 public:
  TaskRunner(Engine& engine, const PlannedProject& planned, data::Run& run, EventBus& events,
             const base::CancelToken* cancel);

  // Throws as WheelFetcher::Fetch and InstallOne do.
  // Tasks are named by their numbers in the plan.
  void RunPackageTask(size_t id);
  // Every other task. Throws as RunStep does; base::Error (kStep) for an
  // expectation that does not hold.
  StepResult RunOne(size_t id, uint32_t attempt, StepUsage& usage);

  // Of the user's code; what rundlet does for it has none.
  plans::Network NetworkOf(const plans::Task& task) const;
  // What a step of the user's failed on.
  std::vector<data::InputRecord> KeepInputs(const plans::Task& task);

  RunTables& tables() { return tables_; }

 private:
  const plans::Step& StepOf(const plans::Task& task) const;
  const plans::PlannedStep& PlannedOf(const plans::StepName& name) const;
  const plans::Task& MakerOf(const plans::StepName& name) const;
  const rootfs::Lock& LockOf(const plans::Task& task) const;
  Bytecode BytecodeOf(plans::TaskId install) const;
  const rootfs::Distribution& DistributionOf(const plans::Task& task) const;
  StepTask BaseTask(size_t id, uint32_t attempt, const rootfs::Environment& environment) const;
  LineCallback LogOf(const plans::Task& task);
  std::vector<StepInput> InputsOf(const plans::Task& task, const plans::Step& step) const;
  StepResult RunUserStep(const plans::Task& task, StepTask run, StepUsage& usage);
  void Remember(const plans::Task& task, const plans::Step& step, const StepResult& result);
  StepSource KeptResult(const plans::Task& task) const;
  StepSource HostFiles(const plans::Task& task) const;
  StepResult Scan(const plans::Task& task, StepTask run, StepUsage& usage);
  StepResult Materialize(const plans::Task& task, StepTask run, StepUsage& usage);

  Engine& engine_;
  const PlannedProject& planned_;
  data::Run& run_;  // its record is not touched here
  EventBus& events_;
  const base::CancelToken* cancel_;
  WheelFetcher fetcher_;
  std::vector<std::vector<store::Lease>> held_;  // of all packages, where some are installed
  InputKeeper keeper_;
  RunTables tables_;
};

}  // namespace rundlet::engine
