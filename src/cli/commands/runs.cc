// rundlet runs: ls, show, logs.
#include "data/history/runs.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "cli/options.h"
#include "cli/terminal/table_text.h"
#include "cli/terminal/time_text.h"

namespace rundlet::cli {
namespace {

using nlohmann::ordered_json;

std::string Seconds(double seconds) {
  return base::HumanDuration(std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9)));
}

ordered_json InputsToJson(const std::vector<data::InputRecord>& inputs) {
  ordered_json list = ordered_json::array();
  for (const data::InputRecord& input : inputs) {
    list.push_back({{"table", input.table},
                    {"bytes", input.bytes},
                    {"kept", input.missing.empty()},
                    {"missing", input.missing}});
  }
  return list;
}

ordered_json ToJson(const data::RunRecord& run) {
  ordered_json steps = ordered_json::array();
  for (const data::StepRecord& step : run.steps) {
    steps.push_back({{"name", step.name},
                     {"kind", step.kind},
                     {"result", step.result},
                     {"seconds", step.seconds},
                     {"cpu_seconds", step.cpu_seconds},
                     {"peak_memory_bytes", step.peak_memory},
                     {"rows", step.rows.has_value() ? ordered_json(*step.rows) : ordered_json()},
                     {"message", step.message},
                     {"network", step.network},
                     {"inputs", InputsToJson(step.inputs)}});
  }
  return {{"id", run.id},
          {"project", run.project},
          {"path", run.path},
          {"state", data::NameOf(run.state)},
          {"started_at", run.started_at},
          {"seconds", run.seconds},
          {"host_ids", {{"first", run.id_base}, {"count", run.id_count}}},
          {"steps", steps}};
}

void PrintJson(const ordered_json& document) {
  fmt::print("{}\n", document.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

void ListRuns(const Context& context) {
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  ordered_json list = ordered_json::array();
  TableText table({{"RUN"}, {"PROJECT"}, {"STATE"}, {"STARTED"}, {"TOOK", Align::kRight}});
  for (const data::RunRecord& run : data::ListRuns(engine->store())) {
    list.push_back(ToJson(run));
    table.AddRow({run.id, run.project, data::NameOf(run.state), TimeText(run.started_at),
                  Seconds(run.seconds)});
  }
  if (context.options.output == Output::kJson) return PrintJson(list);
  if (list.empty()) {
    std::fputs("no runs yet\n", stderr);
  } else {
    fmt::print("{}", table.Render());
  }
}

void Show(const std::string& id, const Context& context) {
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  const data::RunRecord run = data::FindRun(engine->store(), id);
  if (context.options.output == Output::kJson) return PrintJson(ToJson(run));
  fmt::print("run {} of {} ({}): {}, started {}, took {}\n\n", run.id, base::Printable(run.project),
             base::Printable(run.path), data::NameOf(run.state), TimeText(run.started_at),
             Seconds(run.seconds));
  TableText table({{"STEP"},
                   {"KIND"},
                   {"RESULT"},
                   {"TOOK", Align::kRight},
                   {"CPU", Align::kRight},
                   {"ROWS", Align::kRight},
                   {"PEAK", Align::kRight}});
  for (const data::StepRecord& step : run.steps) {
    table.AddRow({step.name, step.kind, step.result, step.seconds > 0 ? Seconds(step.seconds) : "",
                  step.cpu_seconds > 0 ? Seconds(step.cpu_seconds) : "",
                  step.rows.has_value() ? base::Grouped(*step.rows) : "",
                  step.peak_memory > 0 ? base::HumanBytes(step.peak_memory) : ""});
  }
  fmt::print("{}", table.Render());
  for (const data::StepRecord& step : run.steps) {
    if (step.network != "none") fmt::print("`{}` had network {}\n", step.name, step.network);
  }
  for (const data::StepRecord& step : run.steps) {
    if (step.result != "failed") continue;
    fmt::print("\n{}", step.message);
    for (const data::InputRecord& input : step.inputs) {
      fmt::print("input `{}` ({}) is {}\n", input.table, base::HumanBytes(input.bytes),
                 input.missing.empty() ? "kept" : "not kept: " + input.missing);
    }
  }
}

void Logs(const std::string& id, const std::string& step, const Context& context) {
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  const data::RunRecord run = data::FindRun(engine->store(), id);
  const std::string text = data::ReadLogs(engine->store(), run, step);
  if (context.options.output == Output::kJson)
    return PrintJson({{"run", run.id}, {"step", step}, {"log", text}});
  fmt::print("{}", base::Printable(text));
}

}  // namespace

void AddRuns(CLI::App& program, Context& context) {
  auto* runs = program.add_subcommand("runs", "History: ls, show, logs")->require_subcommand(1);
  runs->add_subcommand("ls", "List runs, newest first")->callback([&context] {
    ListRuns(context);
  });
  const auto id = std::make_shared<std::string>();
  const auto step = std::make_shared<std::string>();
  auto* show = runs->add_subcommand("show", "One run, step by step");
  show->add_option("RUN", *id, "Its id, the beginning of it, or `last`")->required();
  show->callback([id, &context] { Show(*id, context); });
  auto* logs = runs->add_subcommand("logs", "What the steps of a run printed");
  logs->add_option("RUN", *id, "Its id, the beginning of it, or `last`")->required();
  logs->add_option("STEP", *step, "Only this step");
  logs->callback([id, step, &context] { Logs(*id, *step, context); });
}

}  // namespace rundlet::cli
