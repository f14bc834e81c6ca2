#include "engine/run/step_command.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "data/tables/tables.h"
#include "engine/run/kept_inputs.h"
#include "engine/run/step.h"
#include "engine/run/step_sandbox.h"

namespace rundlet::engine {
namespace {

const plans::PlannedStep& NamedStep(const plans::Plan& plan, const std::string& name) {
  std::vector<std::string> names;
  for (const plans::PlannedStep& step : plan.steps) {
    if (step.name.text() == name) return step;
    names.push_back(step.name.text());
  }
  std::sort(names.begin(), names.end());
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("looking for step `{}`", base::Printable(name)))
      .Because("the project has none of that name")
      .Hint("it has " + base::Join(names, ", "));
}

// The files behind an input, opened.
struct FoundInput {
  std::string name;
  std::string format;
  std::vector<base::UniqueFd> files;
  std::string missing;  // why there are none

  std::string text() const {
    return files.empty() ? fmt::format("input `{}` is not there: {}", name, missing)
                         : fmt::format("input `{0}` is at /rundlet/in/{0}", name);
  }
};

FoundInput FindNow(Engine& engine, const std::string& project, const InputOrigin& input) {
  FoundInput found = {input.name, input.format, {}, "no result of it is kept"};
  for (const std::string& path : input.paths)
    found.files.push_back(base::OpenHostPath(path, O_PATH));
  if (!input.paths.empty()) return found;
  if (auto result = data::OpenTable(engine.store(), project, input.name))
    found.files = std::move(result->files);
  return found;
}

// Those of a source table, unless they have changed since.
std::vector<base::UniqueFd> OpenUnchanged(const InputOrigin& input) {
  std::vector<base::UniqueFd> files;
  try {
    for (const std::string& path : input.paths) files.push_back(base::OpenHostPath(path, O_PATH));
    if (SourceFactsOf(input.paths).content != input.content) files.clear();
  } catch (const base::Error&) {
    files.clear();  // one of them is gone
  }
  return files;
}

std::string WhyMissing(const data::RunRecord& run, const std::string& step,
                       const InputOrigin& input) {
  const char* const now = input.paths.empty() ? "no such result is kept" : "its files have changed";
  for (const data::StepRecord& record : run.steps) {
    if (record.name != step) continue;
    for (const data::InputRecord& one : record.inputs) {
      if (one.table == input.name && !one.missing.empty())
        return fmt::format("the run did not keep it ({}), and {}", one.missing, now);
    }
  }
  return fmt::format("the run kept none for this step, and {}", now);
}

// As the step had it: what the run kept of it, or the same rows where they came from.
FoundInput FindAsThen(Engine& engine, const data::RunRecord& run, const std::string& step,
                      const InputOrigin& input) {
  FoundInput found = {input.name, input.format, {}, {}};
  if (auto kept = FindKeptInput(engine.store(), run.id, input.name)) {
    found.format = "arrow";
    found.files.push_back(*std::move(kept));
    return found;
  }
  if (!input.paths.empty()) {
    found.files = OpenUnchanged(input);
  } else if (auto result = data::OpenTable(engine.store(), run.project, input.name);
             result.has_value() && result->table.fingerprint == input.content) {
    found.files = std::move(result->files);
  }
  if (found.files.empty()) found.missing = WhyMissing(run, step, input);
  return found;
}

// Under the leases of its sandbox: what is there stays.
void RequireLayers(Engine& engine, const StepSandbox& step) {
  const rootfs::Image& image = step.image;
  const bool whole =
      std::all_of(image.layers.begin(), image.layers.end(), [&engine](const auto& layer) {
        return engine.store().Find(store::Kind::kLayer, layer.hex()).has_value();
      });
  if (whole) return;
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("making the sandbox of step `{}`", step.step))
      .Because(fmt::format("image `{}` (sha256:{}) was removed", image.name,
                           image.manifest_digest.hex()))
      .Hint(image.origin.has_value()
                ? fmt::format("`rundlet image pull {}@sha256:{}` takes it again",
                              image.origin->reference.substr(0, image.origin->reference.find('@')),
                              image.origin->top.hex())
                : "import the same image again, under any name");
}

// What a step's sandbox needs beside its values.
struct StepSurroundings {
  std::string project;                         // relative to the state directory
  std::optional<store::Staging> staging = {};  // that the project lies in
  std::vector<FoundInput> inputs;
};

Command MakeCommand(Engine& engine, const StepSandbox& step, StepSurroundings around,
                    std::vector<std::string> argv, EventBus& events,
                    const base::CancelToken* cancel) {
  CheckLimits(engine, step.limits, fmt::format("step `{}`", step.step));
  Command made = {.image = ImageSandbox(engine, step.image)};
  RequireLayers(engine, step);
  made.environment = EnsureEnvironment(engine, step.image, step.lock, events, cancel);
  made.network = step.network;
  made.limits = step.limits;
  made.project = std::move(around.staging);
  for (const FoundInput& input : around.inputs) {
    for (size_t i = 0; i < input.files.size(); ++i) {
      made.handed.Add(input.files[i].get(),
                      fmt::format("/rundlet/in/{}/{}.{}", input.name, i, input.format));
    }
    events.Send({.kind = EventKind::kNote, .task = step.step, .text = input.text()});
  }
  StepTask task = {.kind = {}, .label = step.step};
  task.image = &step.image;
  task.environment = &made.environment.environment;
  task.project = around.project;
  task.variables = step.variables;
  task.network = step.network;
  task.limits = step.limits;
  made.spec = StepSpec(engine, made.image, task, made.handed, cancel);
  made.spec.mounts.mounts.push_back({kOutInside, runtime::Scratch{.mode = 01777}});
  SetVariable(made.spec, "RUNDLET_PARAMETERS", step.parameters);
  made.spec.argv = argv.empty() ? std::vector<std::string>{"/env/bin/python"} : std::move(argv);
  return made;
}

}  // namespace

Command PrepareStep(Engine& engine, const Project& project, const PlanRequest& request,
                    const std::string& name, std::vector<std::string> command, EventBus& events,
                    const base::CancelToken* cancel) {
  engine.launcher().Prepare(engine.config().ids, runtime::GroupUse::kAll);
  const PlannedProject planned = PlanProject(engine, project, request, events, cancel);
  const StepSandbox step = SandboxOf(planned, NamedStep(planned.plan, name));
  StepSurroundings around;
  around.staging = engine.store().NewStaging();
  around.project = around.staging->tree_path();
  WriteProject(project, around.staging->tree());
  for (const InputOrigin& input : step.inputs)
    around.inputs.push_back(FindNow(engine, planned.name, input));
  return MakeCommand(engine, step, std::move(around), std::move(command), events, cancel);
}

Command PrepareStepOfRun(Engine& engine, const std::string& id, const std::string& name,
                         std::vector<std::string> command, EventBus& events,
                         const base::CancelToken* cancel) {
  engine.launcher().Prepare(engine.config().ids, runtime::GroupUse::kAll);
  const data::RunRecord run = data::FindRun(engine.store(), id);
  const StepSandbox step = RecordedSandbox(engine.store(), run, name);
  StepSurroundings around = {.project = fmt::format("runs/{}/project", run.id), .inputs = {}};
  for (const InputOrigin& input : step.inputs)
    around.inputs.push_back(FindAsThen(engine, run, name, input));
  events.Send({.kind = EventKind::kNote,
               .task = name,
               .text = fmt::format("as in run {} of {}: image `{}`, {} packages, the code of then, "
                                   "parameters {}",
                                   run.id, run.project, step.image.name,
                                   step.lock.distributions.size(), step.parameters)});
  return MakeCommand(engine, step, std::move(around), std::move(command), events, cancel);
}

}  // namespace rundlet::engine
