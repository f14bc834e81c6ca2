// The physical DAG of a run, as a value: what would be done, in which order, and why.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "plans/name.h"
#include "plans/plan/facts.h"
#include "plans/plan/fingerprint.h"

namespace rundlet::plans {

// Version of the protocol with the program that runs steps (docs/reference/step-protocol.md); part
// of fingerprints.
constexpr std::string_view kStepProtocol = "1";

enum class TaskKind {
  kFetch,        // a wheel into the store
  kInstall,      // a wheel, as a package directory with the bytecode of one interpreter
  kScan,         // files of a source table, or a kept result, into a table in memory
  kSql,          // a model
  kPython,       // a model
  kExpect,       // an expectation
  kMaterialize,  // a model's table into files that outlive the run
};
std::string_view NameOf(TaskKind kind);  // "fetch", "install", ...

enum class Action {
  kRun,
  kCached,     // what it would make is there
  kNotNeeded,  // nothing that runs needs it
};
std::string_view NameOf(Action action);  // "run", "cached", "not-needed"

// Index into Plan::tasks.
struct TaskId {
  uint32_t value = 0;
  auto operator<=>(const TaskId&) const = default;
};

// What a scan reads: the union of what its running consumers want.
struct ScanSelection {
  std::optional<std::vector<std::string>> columns;  // sorted; none: all
  std::string filter;  // canonical JSON of the FILTER that all consumers share; empty: none
  bool operator==(const ScanSelection&) const = default;
};

struct Task {
  TaskKind kind = TaskKind::kFetch;
  Action action = Action::kRun;
  std::string name;  // for people: "pandas 2.2.3", "flights"
  StepName step;     // sql, python, expect, materialize; scan of a kept result; else empty
  TableName table;   // scan of a source table; else empty
  ImageName image;   // that it runs in; empty for fetch. For install: one with the interpreter.
  std::vector<TaskId> needs;  // sorted; all of them less than its own id
  base::Digest fingerprint;
  std::string reason;  // for its action: "code changed"
  // sql, python: cached, and what runs reads its kept result. scan: reads the kept result of
  // `step`.
  bool kept_result = false;
  std::optional<Distribution> distribution;  // fetch, install
  std::optional<ScanSelection> selection;    // scan
  std::optional<KeptResult> result;          // sql, python, expect, materialize: when cached
  uint64_t bytes = 0;                        // fetch, install: of the wheel; scan: of what it reads
  bool operator==(const Task&) const = default;
};

struct PlannedStep {
  StepName name;
  TaskId task;             // its sql, python or expect task
  FingerprintParts parts;  // to be recorded when it succeeds
  // Its result changes with every run (network, append, or such an input): never keep it.
  bool always_runs = false;
  bool operator==(const PlannedStep&) const = default;
};

struct Plan {
  // Fetch; install; scan, models and expectations; materialize. Topological.
  std::vector<Task> tasks;
  std::vector<PlannedStep> steps;  // those in scope; topological
  bool operator==(const Plan&) const = default;

  const Task& task(TaskId id) const { return tasks[id.value]; }
};

// How many steps (not tasks) run, are cached, are not needed.
struct StepCounts {
  size_t run = 0;
  size_t cached = 0;
  size_t not_needed = 0;
};
StepCounts CountSteps(const Plan& plan);

}  // namespace rundlet::plans
