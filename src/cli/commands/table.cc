// rundlet table: ls, head.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands/finish_bytecode.h"
#include "cli/options.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/preview_text.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/table_text.h"
#include "cli/terminal/time_text.h"
#include "data/tables/tables.h"
#include "engine/run/read_table.h"

namespace rundlet::cli {
namespace {

void ListTables(const Context& context) {
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  TableText text({{"TABLE"},
                  {"PROJECT"},
                  {"ROWS", Align::kRight},
                  {"COLUMNS", Align::kRight},
                  {"SIZE", Align::kRight},
                  {"UPDATED"}});
  for (const data::Table& table : data::ListTables(engine->store())) {
    nlohmann::ordered_json columns = nlohmann::ordered_json::array();
    for (const auto& [name, type] : table.columns)
      columns.push_back({{"name", name}, {"type", type}});
    list.push_back({{"name", table.name},
                    {"project", table.project},
                    {"rows", table.rows()},
                    {"bytes", table.bytes()},
                    {"columns", columns},
                    {"updated_at", table.updated_at}});
    text.AddRow({table.name, table.project, base::Grouped(table.rows()),
                 std::to_string(table.columns.size()), base::HumanBytes(table.bytes()),
                 TimeText(table.updated_at)});
  }
  if (context.options.output == Output::kJson) {
    fmt::print("{}\n", list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else if (list.empty()) {
    std::fputs("no tables yet; models with materialize=\"replace\" make them\n", stderr);
  } else {
    fmt::print("{}", text.Render());
  }
}

void PrintJson(const engine::Preview& preview) {
  nlohmann::ordered_json columns = nlohmann::ordered_json::array();
  for (const auto& [column, type] : preview.columns)
    columns.push_back({{"name", column}, {"type", type}});
  fmt::print("{}\n", nlohmann::ordered_json{{"table", preview.step},
                                            {"columns", columns},
                                            {"rows", nlohmann::ordered_json::parse(preview.rows)},
                                            {"total_rows", preview.total_rows}}
                         .dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void Head(const std::string& name, unsigned rows, const Context& context) {
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  engine::Preview preview;
  {
    Progress progress(context.options);
    engine::EventBus events(progress.Sink());
    preview = engine::ReadHead(*engine, name, rows, events, &Interrupted());
  }
  if (context.options.output == Output::kText) {
    fmt::print("{}", PreviewText(preview));
  } else {
    PrintJson(preview);
  }
  FinishBytecode(*engine, context.options);
}

}  // namespace

void AddTable(CLI::App& program, Context& context) {
  auto* table = program.add_subcommand("table", "Results: ls, head")->require_subcommand(1);
  table->add_subcommand("ls", "List tables")->callback([&context] { ListTables(context); });
  auto* head = table->add_subcommand("head", "First rows of a table");
  const auto name = std::make_shared<std::string>();
  const auto rows = std::make_shared<unsigned>(10);
  head->add_option("TABLE", *name, "Its name, or PROJECT/NAME")->required();
  head->add_option("-n,--rows", *rows, "How many rows")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  head->callback([name, rows, &context] { Head(*name, *rows, context); });
}

}  // namespace rundlet::cli
