// rundlet lock: writes the project's pylock.toml files.
#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fs.h"
#include "cli/commands/finish_bytecode.h"
#include "cli/options.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/progress.h"
#include "engine/project/project_locks.h"

namespace rundlet::cli {
namespace {

struct LockArguments {
  std::string path = ".";
  bool upgrade = false;
  std::vector<std::string> upgraded;
};

void PrintLocks(const std::vector<engine::ProjectLock>& locks, Output output) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const engine::ProjectLock& lock : locks) {
    list.push_back({{"file", lock.file},
                    {"packages", lock.packages},
                    {"changed", lock.changed},
                    {"steps", lock.steps}});
    if (output == Output::kText) {
      fmt::print("{}: {} packages, {}\n", lock.file, lock.packages,
                 lock.changed ? "written" : "up to date");
    }
  }
  if (output == Output::kJson) fmt::print("{}\n", list.dump(2));
}

void RunLock(const LockArguments& arguments, const Context& context) {
  const engine::Project project = engine::GatherProject(arguments.path);
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  std::vector<engine::ProjectLock> locks;
  {
    Progress progress(context.options);
    engine::EventBus events(progress.Sink());
    const engine::UpgradeWish wish{.all = arguments.upgrade && arguments.upgraded.empty(),
                                   .names = arguments.upgraded};
    locks = engine::LockProject(*engine, project, wish, events, &Interrupted());
  }
  const base::UniqueFd root = base::OpenHostPath(project.root, O_RDONLY | O_DIRECTORY);
  for (const engine::ProjectLock& lock : locks) {
    if (lock.changed)
      base::ReplaceAt(root.get(), lock.file, lock.text, 0644, base::Durability::kSynced);
  }
  PrintLocks(locks, context.options.output);
  FinishBytecode(*engine, context.options);
}

}  // namespace

void AddLock(CLI::App& program, Context& context) {
  auto* command =
      program.add_subcommand("lock", "Write the project's pylock.toml, from which it then runs");
  const auto arguments = std::make_shared<LockArguments>();
  command->add_option("PATH", arguments->path, "Directory of the project")->capture_default_str();
  auto* upgrade = command
                      ->add_option("--upgrade", arguments->upgraded,
                                   "Newest versions: of all, or of the packages named after it")
                      ->expected(0, -1);
  command->callback([arguments, upgrade, &context] {
    arguments->upgrade = upgrade->count() > 0;
    std::erase(arguments->upgraded, "");
    RunLock(*arguments, context);
  });
}

}  // namespace rundlet::cli
