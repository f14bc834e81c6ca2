// rundlet package: ls, and the sub-commands of package_commands.h.
#include "rootfs/packages/package.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands/package_commands.h"
#include "cli/options.h"
#include "cli/terminal/output.h"
#include "cli/terminal/table_text.h"

namespace rundlet::cli {
namespace {

void ListPackages(const Context& context) {
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  TableText table({{"PACKAGE"},
                   {"VERSION"},
                   {"PYTHON"},
                   {"FILES", Align::kRight},
                   {"SIZE", Align::kRight},
                   {"KEY"}});
  struct Row {
    rootfs::PackageMeta meta;
    store::EntryInfo entry;
  };
  std::vector<Row> rows;
  for (store::EntryInfo& entry : engine->store().List(store::Kind::kPackage)) {
    rows.push_back({rootfs::ReadPackageMeta(entry), std::move(entry)});
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::tie(a.meta.name, a.meta.version, a.meta.python_tag) <
           std::tie(b.meta.name, b.meta.version, b.meta.python_tag);
  });
  uint64_t bytes = 0;
  for (const Row& row : rows) {
    bytes += row.entry.bytes;
    list.push_back({{"name", row.meta.name},
                    {"version", row.meta.version},
                    {"python", row.meta.python_tag},
                    {"files", row.entry.files},
                    {"bytes", row.entry.bytes},
                    {"key", row.entry.key},
                    {"created_at", row.entry.created_at},
                    {"last_used_at", row.entry.last_used_at}});
    table.AddRow({row.meta.name, row.meta.version, row.meta.python_tag,
                  std::to_string(row.entry.files), base::HumanBytes(row.entry.bytes),
                  row.entry.key.substr(0, 12)});
  }
  if (context.options.output == Output::kJson) {
    fmt::print("{}\n", list.dump(2));
  } else if (rows.empty()) {
    std::fputs("no packages yet\n", stderr);
  } else {
    fmt::print("{}", table.Render());
    if (!context.options.quiet) Say("{} packages, {}\n", rows.size(), base::HumanBytes(bytes));
  }
}

}  // namespace

void AddPackage(CLI::App& program, Context& context) {
  auto* package = program.add_subcommand("package", "Installed packages: ls, why, verify, prune")
                      ->require_subcommand(1);
  package->add_subcommand("ls", "List installed packages")->callback([&context] {
    ListPackages(context);
  });
  AddPackageWhy(*package, context);
  AddPackageVerify(*package, context);
  AddPackagePrune(*package, context);
}

}  // namespace rundlet::cli
