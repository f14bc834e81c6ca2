// rundlet exec: one command in a sandbox.
#include "engine/command/exec.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fs.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/commands/finish_bytecode.h"
#include "cli/options.h"
#include "cli/options/command_options.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/output.h"
#include "cli/terminal/progress.h"
#include "engine/upkeep/prune_daily.h"

namespace rundlet::cli {
namespace {

struct ExecArguments {
  CommandOptions options;
  std::vector<std::string> command;
};

// A command that names a Python file of this host, which is opened with the rights of whoever runs
// this.
std::optional<engine::Script> FindScript(const std::string& command) {
  if (!command.ends_with(".py")) return std::nullopt;
  base::UniqueFd file(open(command.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info;
  if (!file.valid() || fstat(file.get(), &info) < 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return engine::Script{command.substr(command.rfind('/') + 1), std::move(file)};
}

void PrintTimings(const engine::ExecOutcome& outcome) {
  const auto line = [&outcome](const char* what, int64_t at) {
    if (at != 0)
      Say("{:>9.3f} ms  {}\n", static_cast<double>(at - outcome.requested_at) / 1e6, what);
  };
  line("image, packages and mounts known", outcome.prepared_at);
  for (size_t i = 0; i < outcome.stages.size(); ++i) {
    line(runtime::NameOf(static_cast<runtime::Stage>(i)), outcome.stages[i]);
  }
  line("the program has ended", outcome.ended_at);
  line("the sandbox is gone", base::MonotonicNanoseconds());
  Say("peak memory {}, processor time {}\n", base::HumanBytes(outcome.peak_memory),
      base::HumanDuration(outcome.cpu_time));
}

int RunExec(const ExecArguments& arguments, const Context& context) {
  engine::CommandRequest request = arguments.options.Request();
  request.script = FindScript(arguments.command.front());
  request.command = arguments.command;
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  Progress progress(context.options);
  engine::EventBus events(progress.Sink());
  const engine::ExecOutcome outcome =
      engine::Exec(*engine, std::move(request), events, &Interrupted(), InterruptDescriptor());
  engine::PruneDaily(*engine, events, &Interrupted());
  if (context.options.timings) PrintTimings(outcome);
  ReportLimit(arguments.command.front(), outcome);
  if (outcome.exit_code == 0) FinishBytecode(*engine, context.options);
  return outcome.exit_code;
}

}  // namespace

void AddExec(CLI::App& program, Context& context) {
  auto* command = program.add_subcommand("exec", "Run one command in a sandbox");
  const auto arguments = std::make_shared<ExecArguments>();
  AddCommandOptions(*command, arguments->options);
  command
      ->add_option("command", arguments->command,
                   "Command and its arguments, after --; or a Python script of this host")
      ->required();
  command->callback([arguments, &context] {
    context.exit_code = WithCommandCodes([&] { return RunExec(*arguments, context); });
  });
}

}  // namespace rundlet::cli
