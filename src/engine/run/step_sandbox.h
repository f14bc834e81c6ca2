// What the sandbox of a step is made of, as values: of a planned project, or of a run that was.
//
// runs/<id>/sandboxes.json holds them for every step of a run. It is written when the run begins,
// so the sandbox of a step can be made again when the project, its locks, or what its image's name
// stands for have changed or gone.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "data/history/runs.h"
#include "engine/project/plan_project.h"
#include "engine/sandbox/wanted_limits.h"
#include "plans/network.h"
#include "plans/plan/plan.h"
#include "rootfs/images/image.h"
#include "rootfs/requirements/lock.h"

namespace rundlet::engine {

// Where the rows of an input are found outside of a run.
struct InputOrigin {
  std::string name;
  std::vector<std::string> paths = {};  // of a source table, on the host; empty: a model's result
  std::string format = "parquet";       // of its files
  // The fingerprint of the step that makes it; of a source table, what its files were
  // (SourceFactsOf).
  base::Digest content = {};
};

struct StepSandbox {
  std::string step;
  rootfs::Image image;
  rootfs::Lock lock;
  std::vector<std::pair<std::string, std::string>> variables;
  std::string parameters = "{}";  // JSON: by argument
  plans::Network network;
  WantedLimits limits;
  std::vector<InputOrigin> inputs;  // each table once
};

StepSandbox SandboxOf(const PlannedProject& planned, const plans::PlannedStep& step);

// Of all its steps.
void RecordSandboxes(const data::Run& run, const PlannedProject& planned);
// Throws base::Error: kInvalid for a run without a record, or without such a step.
StepSandbox RecordedSandbox(store::Store& store, const data::RunRecord& run,
                            const std::string& step);

}  // namespace rundlet::engine
