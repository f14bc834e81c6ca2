#include "engine/step_command.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "engine/step.h"
#include "engine/step_values.h"
#include "engine/tables.h"

namespace rundlet::engine {
namespace {

const plans::Step& NamedStep(const plans::Pipeline& pipeline, const std::string& name) {
  const auto parsed = plans::StepName::Parse(name);
  const plans::Step* step = parsed.has_value() ? plans::FindStep(pipeline, *parsed) : nullptr;
  if (step != nullptr) return *step;
  std::vector<std::string> names;
  for (const auto* list : {&pipeline.models, &pipeline.expectations}) {
    for (const plans::Step& one : *list) names.push_back(one.name.text());
  }
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("looking for step `{}`", base::Printable(name)))
      .Because("the project has none of that name")
      .Hint("it has " + base::Join(names, ", "));
}

// The files behind an input; empty: not kept.
std::vector<base::UniqueFd> FilesOf(Engine& engine, const PlannedProject& planned,
                                    const plans::InputTable& input) {
  std::vector<base::UniqueFd> files;
  if (const auto* source = std::get_if<plans::TableName>(&input)) {
    for (const std::string& path : planned.sources.at(*source))
      files.push_back(base::OpenHostPath(path, O_PATH));
    return files;
  }
  const auto table = FindTable(engine.store(), planned.name, plans::NameOf(input));
  if (!table.has_value()) return files;
  const base::UniqueFd dir =
      base::OpenAt(engine.store().dir(), table->Directory(), O_RDONLY | O_DIRECTORY);
  for (const TableFile& file : table->files)
    files.push_back(base::OpenAt(dir.get(), file.file, O_PATH));
  return files;
}

std::string_view EndingOf(const PlannedProject& planned, const plans::InputTable& input) {
  const auto* source = std::get_if<plans::TableName>(&input);
  return source == nullptr ? "parquet"
                           : plans::NameOf(planned.pipeline.config.tables.at(*source).format);
}

void AddInputs(Engine& engine, const PlannedProject& planned, const plans::Step& step,
               HandedMounts& handed, EventBus& events) {
  std::set<std::string> seen;
  for (const plans::Input& input : step.inputs) {
    const std::string& name = plans::NameOf(input.table);
    if (!seen.insert(name).second) continue;
    const std::vector<base::UniqueFd> files = FilesOf(engine, planned, input.table);
    for (size_t i = 0; i < files.size(); ++i) {
      handed.Add(files[i].get(),
                 fmt::format("/rundlet/in/{}/{}.{}", name, i, EndingOf(planned, input.table)));
    }
    events.Send({.kind = EventKind::kNote,
                 .task = step.name.text(),
                 .text = files.empty()
                             ? fmt::format("input `{}` is not there: no result of it is kept", name)
                             : fmt::format("input `{0}` is at /rundlet/in/{0}", name)});
  }
}

}  // namespace

Command PrepareStep(Engine& engine, const Project& project, const PlanRequest& request,
                    const std::string& name, std::vector<std::string> command, EventBus& events,
                    const base::CancelToken* cancel) {
  engine.launcher().Prepare(engine.config().ids);
  const PlannedProject planned = PlanProject(engine, project, request, events, cancel);
  const plans::Step& step = NamedStep(planned.pipeline, name);
  const WantedLimits limits = LimitsOf(step);
  CheckLimits(engine, limits, fmt::format("step `{}`", step.name.text()));
  const rootfs::Image& image = planned.images.at(step.image);
  const rootfs::Lock& lock = step.kind == plans::StepKind::kSql
                                 ? planned.engine_locks.at(step.image)
                                 : planned.locks.at(step.name);
  Command made = {.image = ImageSandbox(engine, image)};
  made.environment = EnsureEnvironment(engine, image, lock, events, cancel);
  made.network = step.network;
  made.limits = limits;
  made.project = engine.store().NewStaging();
  if (fchmod(made.project->tree(), 0755) < 0) base::ThrowErrno("making a project's directory");
  WriteProject(project, made.project->tree());
  StepTask task = {.kind = {}, .label = step.name.text()};
  task.image = &image;
  task.environment = &made.environment.environment;
  task.project = made.project->tree_path();
  task.variables.assign(step.environment.begin(), step.environment.end());
  task.network = step.network;
  task.limits = limits;
  AddInputs(engine, planned, step, made.handed, events);
  made.spec = StepSpec(engine, made.image, task, made.handed);
  SetVariable(made.spec, "RUNDLET_PARAMETERS", ParametersOf(step, planned.parameters));
  made.spec.argv =
      command.empty() ? std::vector<std::string>{"/env/bin/python"} : std::move(command);
  return made;
}

}  // namespace rundlet::engine
