// rundlet run: run a pipeline.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands/finish_bytecode.h"
#include "cli/options.h"
#include "cli/options/project_options.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/output.h"
#include "cli/terminal/preview_text.h"
#include "cli/terminal/progress.h"
#include "engine/run/run_pipeline.h"
#include "engine/upkeep/prune_daily.h"
#include "plans/show/explain.h"

namespace rundlet::cli {
namespace {

using nlohmann::ordered_json;

void PrintJson(const engine::RunSummary& summary) {
  ordered_json steps = ordered_json::array();
  for (const data::StepRecord& step : summary.record.steps) {
    steps.push_back({{"name", step.name},
                     {"kind", step.kind},
                     {"result", step.result},
                     {"seconds", step.seconds},
                     {"cpu_seconds", step.cpu_seconds},
                     {"peak_memory_bytes", step.peak_memory},
                     {"rows", step.rows.has_value() ? ordered_json(*step.rows) : ordered_json()},
                     {"message", step.message}});
  }
  ordered_json previews = ordered_json::object();
  for (const engine::Preview& preview : summary.previews) {
    ordered_json columns = ordered_json::array();
    for (const auto& [name, type] : preview.columns)
      columns.push_back({{"name", name}, {"type", type}});
    previews[preview.step] = {{"columns", columns},
                              {"rows", ordered_json::parse(preview.rows)},
                              {"total_rows", preview.total_rows}};
  }
  ordered_json errors = ordered_json::array();
  for (const base::Error& error : summary.errors) {
    errors.push_back({{"fault", static_cast<int>(error.fault())},
                      {"chain", error.chain()},
                      {"hint", error.hint()}});
  }
  const ordered_json document = {{"run", summary.record.id},
                                 {"project", summary.record.project},
                                 {"state", data::NameOf(summary.record.state)},
                                 {"seconds", summary.record.seconds},
                                 {"packages",
                                  {{"resolved", summary.resolved},
                                   {"fetched", summary.fetched},
                                   {"installed", summary.installed},
                                   {"reused", summary.reused}}},
                                 {"steps", steps},
                                 {"previews", previews},
                                 {"errors", errors}};
  fmt::print("{}\n", document.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

bool IsUserStep(const data::StepRecord& step) {
  return step.kind == "python" || step.kind == "sql" || step.kind == "expect";
}

void PrintText(const engine::RunSummary& summary, bool quiet) {
  for (const engine::Preview& preview : summary.previews) fmt::print("{}\n", PreviewText(preview));
  std::fflush(stdout);
  for (const base::Error& error : summary.errors) std::fputs(error.Render().c_str(), stderr);
  if (quiet) return;
  for (const data::StepRecord& step : summary.record.steps) {
    if (step.result != "failed" || !IsUserStep(step)) continue;
    Say("`rundlet shell --run {} {}` opens the sandbox of `{}`\n", summary.record.id, step.name,
        step.name);
  }
  size_t ran = 0;
  size_t kept = 0;
  for (const data::StepRecord& step : summary.record.steps) {
    if (!IsUserStep(step)) continue;
    if (step.result == "done") ++ran;
    if (step.result == "cached" || step.result == "not-needed") ++kept;
  }
  const auto seconds = std::chrono::nanoseconds(static_cast<int64_t>(summary.record.seconds * 1e9));
  Say("run {} {} in {}: {} steps ran, {} kept from earlier; packages: {} installed, {} "
      "reused, {} fetched; "
      "{} resolves\n",
      summary.record.id, data::NameOf(summary.record.state), base::HumanDuration(seconds), ran,
      kept, summary.installed, summary.reused, summary.fetched, summary.resolved);
}

int RunRun(const ProjectOptions& options, bool dry_run, const Context& context) {
  const engine::Project project = engine::GatherProject(options.path);
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  engine::RunSummary summary;
  {
    Progress progress(context.options);
    engine::EventBus events(progress.Sink());
    const engine::PlannedProject planned =
        engine::PlanProject(*engine, project, options.Request(), events, &Interrupted());
    if (dry_run) {
      fmt::print("{}", plans::ExplainPlan(planned.pipeline, planned.plan));
      FinishBytecode(*engine, context.options);
      return 0;
    }
    summary = engine::RunPipeline(*engine, project, planned, events, &Interrupted());
    engine::PruneDaily(*engine, events, &Interrupted());
  }
  if (context.options.output == Output::kJson) {
    PrintJson(summary);
  } else {
    PrintText(summary, context.options.quiet);
  }
  if (summary.exit_code == 0) FinishBytecode(*engine, context.options);
  return summary.exit_code;
}

}  // namespace

void AddRun(CLI::App& program, Context& context) {
  auto* command = program.add_subcommand("run", "Run a pipeline");
  const auto options = std::make_shared<ProjectOptions>();
  const auto dry_run = std::make_shared<bool>(false);
  AddProjectOptions(*command, *options);
  command->add_flag("--dry-run", *dry_run, "Show the plan only");
  command->callback(
      [options, dry_run, &context] { context.exit_code = RunRun(*options, *dry_run, context); });
}

}  // namespace rundlet::cli
