// rundlet package prune: removes what was not used for long, or is too much.
#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.h"
#include "cli/commands/package_commands.h"
#include "cli/options.h"
#include "cli/terminal/output.h"
#include "cli/terminal/table_text.h"
#include "cli/terminal/time_text.h"
#include "engine/upkeep/prune_packages.h"

namespace rundlet::cli {
namespace {

struct PruneArguments {
  std::optional<uint64_t> seconds;
  std::optional<uint64_t> bytes;
  bool dry_run = false;
};

void PrintPruning(const engine::Pruning& pruning, bool dry_run, const Options& options) {
  nlohmann::ordered_json removed = nlohmann::ordered_json::array();
  TableText table({{"PACKAGE"}, {"KIND"}, {"SIZE", Align::kRight}, {"LAST USED"}});
  uint64_t bytes = 0;
  for (const engine::PrunedPackage& one : pruning.removed) {
    bytes += one.bytes;
    const std::string kind(store::FolderOf(one.kind));
    removed.push_back({{"name", one.name},
                       {"kind", kind},
                       {"key", one.key},
                       {"bytes", one.bytes},
                       {"last_used_at", one.last_used_at}});
    table.AddRow({one.name, kind, base::HumanBytes(one.bytes), TimeText(one.last_used_at)});
  }
  if (options.output == Output::kJson) {
    const nlohmann::ordered_json document = {{"removed", std::move(removed)},
                                             {"dry_run", dry_run},
                                             {"kept", pruning.kept},
                                             {"kept_bytes", pruning.kept_bytes},
                                             {"needed", pruning.needed}};
    fmt::print("{}\n", document.dump(2));
    return;
  }
  if (!pruning.removed.empty()) fmt::print("{}", table.Render());
  if (options.quiet) return;
  Say("{} {}, {}; {} left, {}; {} of them needed by runs\n", pruning.removed.size(),
      dry_run ? "would be removed" : "removed", base::HumanBytes(bytes), pruning.kept,
      base::HumanBytes(pruning.kept_bytes), pruning.needed);
}

void Prune(const PruneArguments& arguments, const Context& context) {
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  engine::PruneRequest request{
      .unused_for = {}, .max_bytes = arguments.bytes, .dry_run = arguments.dry_run};
  if (arguments.seconds.has_value())
    request.unused_for = std::chrono::seconds(static_cast<int64_t>(*arguments.seconds));
  PrintPruning(engine::PrunePackages(*engine, request), arguments.dry_run, context.options);
}

}  // namespace

void AddPackagePrune(CLI::App& package, Context& context) {
  auto* command =
      package.add_subcommand("prune", "Remove packages and downloads that nothing needs");
  const auto arguments = std::make_shared<PruneArguments>();
  const std::map<std::string, uint64_t> units = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
  auto* age = command
                  ->add_option("--unused-for", arguments->seconds,
                               "What was not used for so long: 30d, 12h, 90m, 10s")
                  ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::UNIT_REQUIRED));
  auto* size = command
                   ->add_option("--max-bytes", arguments->bytes,
                                "As much as leaves at most this, least recently used first: 20GiB")
                   ->transform(CLI::AsSizeValue(false));
  command->add_flag("--dry-run", arguments->dry_run, "Say what would be removed");
  command->callback([arguments, age, size, &context] {
    if (age->count() == 0 && size->count() == 0)
      throw CLI::RequiredError("--unused-for or --max-bytes");
    Prune(*arguments, context);
  });
}

}  // namespace rundlet::cli
