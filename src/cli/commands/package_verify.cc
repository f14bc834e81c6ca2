// rundlet package verify: whether every byte of the packages is still what was installed.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands/package_commands.h"
#include "cli/options.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/output.h"
#include "cli/terminal/progress.h"
#include "engine/upkeep/verify_packages.h"

namespace rundlet::cli {
namespace {

void PrintVerification(const engine::Verification& found, const Options& options) {
  nlohmann::ordered_json damaged = nlohmann::ordered_json::array();
  for (const engine::DamagedEntry& one : found.damaged) {
    damaged.push_back({{"name", one.name},
                       {"kind", std::string(store::FolderOf(one.kind))},
                       {"key", one.key},
                       {"cause", one.cause},
                       {"state", engine::NameOf(one.state)}});
    if (options.output == Output::kText) {
      fmt::print("{} ({}/{}): {}; {}\n", one.name, store::FolderOf(one.kind), one.key.substr(0, 12),
                 one.cause, engine::NameOf(one.state));
    }
  }
  if (options.output == Output::kJson) {
    const nlohmann::ordered_json document = {
        {"entries", found.entries}, {"bytes", found.bytes}, {"damaged", std::move(damaged)}};
    // A layer's paths may be any bytes.
    fmt::print("{}\n",
               document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  } else if (!options.quiet) {
    Say("{} entries, {}: {} damaged\n", found.entries, base::HumanBytes(found.bytes),
        found.damaged.size());
  }
}

int VerifyAll(const engine::VerifyRequest& request, const Context& context) {
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  engine::Verification found;
  {
    Progress progress(context.options);
    engine::EventBus events(progress.Sink());
    found = engine::VerifyPackages(*engine, request, events, &Interrupted());
  }
  PrintVerification(found, context.options);
  const bool good = std::all_of(found.damaged.begin(), found.damaged.end(), [](const auto& one) {
    return one.state == engine::DamagedEntry::State::kRepaired ||
           one.state == engine::DamagedEntry::State::kRemoved;
  });
  return good ? 0 : static_cast<int>(base::Fault::kStep);
}

}  // namespace

void AddPackageVerify(CLI::App& package, Context& context) {
  auto* command = package.add_subcommand("verify", "Read every byte of the installed packages");
  const auto request = std::make_shared<engine::VerifyRequest>();
  command->add_flag_callback(
      "--repair", [request] { request->repair = engine::Repair::kReplace; },
      "Remove what is damaged, and install it again");
  command->add_flag_callback(
      "--disk", [request] { request->depth = engine::Depth::kDisk; },
      "Also compare what memory holds of each file, of images too, with the disk");
  command->callback([request, &context] { context.exit_code = VerifyAll(*request, context); });
}

}  // namespace rundlet::cli
