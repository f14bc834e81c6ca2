// rundlet gc: removes what nobody needs.
#include "engine/upkeep/gc.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.h"
#include "cli/options.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/output.h"
#include "cli/terminal/table_text.h"

namespace rundlet::cli {
namespace {

const char* FateName(engine::GcItem::Fate fate) {
  switch (fate) {
    case engine::GcItem::Fate::kKept:
      return "kept";
    case engine::GcItem::Fate::kInUse:
      return "in use";
    case engine::GcItem::Fate::kRemoved:
      return "removed";
  }
  return "";
}

void PrintGcJson(const std::vector<engine::GcItem>& items) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const engine::GcItem& item : items) {
    list.push_back({{"path", item.path},
                    {"name", item.name},
                    {"bytes", item.bytes},
                    {"owner", item.owner.empty() ? nlohmann::ordered_json()
                                                 : nlohmann::ordered_json(item.owner)},
                    {"fate", FateName(item.fate)}});
  }
  fmt::print("{}\n", list.dump(2));
}

void RunGc(const engine::GcRequest& request, const Context& context) {
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  const std::vector<engine::GcItem> items =
      engine::CollectGarbage(*engine, request, &Interrupted());
  if (context.options.output == Output::kJson) return PrintGcJson(items);
  const bool dry = request.mode == engine::GcMode::kDryRun;
  TableText table({{"PATH"}, {"NAME"}, {"SIZE", Align::kRight}, {"OWNER"}});
  uint64_t bytes = 0;
  size_t count = 0;
  for (const engine::GcItem& item : items) {
    const bool removed = item.fate == engine::GcItem::Fate::kRemoved;
    if (removed) bytes += item.bytes;
    if (removed) ++count;
    if (!dry && !removed) continue;
    table.AddRow({item.path.substr(0, item.path.find('/') + 13), item.name,
                  base::HumanBytes(item.bytes), removed ? "nobody" : item.owner});
  }
  if (dry || count != 0) fmt::print("{}", table.Render());
  Say("{} {} entries, {}\n", dry ? "would remove" : "removed", count, base::HumanBytes(bytes));
}

}  // namespace

void AddGc(CLI::App& program, Context& context) {
  auto* gc = program.add_subcommand("gc", "Remove what no image, lock or running command needs");
  const auto dry_run = std::make_shared<bool>(false);
  const auto seconds = std::make_shared<std::optional<uint64_t>>();
  const auto bytes = std::make_shared<std::optional<uint64_t>>();
  gc->add_flag("--dry-run", *dry_run, "Remove nothing; show what is there, and whose it is");
  const std::map<std::string, uint64_t> units = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
  gc->add_option("--unused-for", *seconds,
                 "Also locks and caches not used for so long: 30d, 12h, 90m, 10s")
      ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::UNIT_REQUIRED));
  gc->add_option("--max-bytes", *bytes,
                 "Also locks and caches, least recently used first, but for so much: 2GiB")
      ->transform(CLI::AsSizeValue(false));
  gc->callback([dry_run, seconds, bytes, &context] {
    engine::GcRequest request;
    if (*dry_run) request.mode = engine::GcMode::kDryRun;
    if (seconds->has_value()) {
      request.unused_for = std::chrono::seconds(static_cast<int64_t>(**seconds));
    }
    request.max_bytes = *bytes;
    RunGc(request, context);
  });
}

}  // namespace rundlet::cli
