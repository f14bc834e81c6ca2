// rundlet plan: what a run would do, and why.
#include <CLI/CLI.hpp>
#include <ctime>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands/finish_bytecode.h"
#include "cli/options.h"
#include "cli/options/project_options.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/progress.h"
#include "engine/project/plan_project.h"
#include "plans/show/explain.h"

namespace rundlet::cli {
namespace {

void PrintText(const engine::PlannedProject& planned) {
  fmt::print("{}", plans::ExplainPlan(planned.pipeline, planned.plan));
  if (planned.oldest_lock != 0) {
    const auto age =
        std::chrono::seconds(std::max<int64_t>(0, std::time(nullptr) - planned.oldest_lock));
    fmt::print("\npackages were locked {} ago at the longest (--upgrade resolves again)\n",
               base::HumanDuration(age));
  }
}

void RunPlan(const ProjectOptions& options, const Context& context) {
  const engine::Project project = engine::GatherProject(options.path);
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  engine::PlannedProject planned;
  {
    Progress progress(context.options);
    engine::EventBus events(progress.Sink());
    planned = engine::PlanProject(*engine, project, options.Request(), events, &Interrupted());
  }
  if (context.options.output == Output::kJson) {
    fmt::print("{}\n", plans::PlanJson(planned.pipeline, planned.plan));
  } else {
    PrintText(planned);
  }
  FinishBytecode(*engine, context.options);
}

}  // namespace

void AddPlan(CLI::App& program, Context& context) {
  auto* command = program.add_subcommand("plan", "Show what a run would do, and why");
  const auto options = std::make_shared<ProjectOptions>();
  AddProjectOptions(*command, *options);
  command->callback([options, &context] { RunPlan(*options, context); });
}

}  // namespace rundlet::cli
