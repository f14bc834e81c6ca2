// rundlet shell: a shell in a sandbox, at a terminal of its own.
#include "engine/shell.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/command_options.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/terminal.h"

namespace rundlet::cli {
namespace {

struct ShellArguments {
  CommandOptions options;
  bool python = false;
};

int RunShell(const ShellArguments& arguments, const Context& context) {
  engine::CommandRequest request = arguments.options.Request();
  if (!arguments.python) request.command = engine::ShellCommand();
  engine::ExecOutcome outcome;
  {
    Terminal terminal;
    const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
    std::optional<Progress> progress(context.options);
    engine::EventBus events(progress->Sink());
    engine::Command command =
        engine::PrepareCommand(*engine, std::move(request), events, &Interrupted());
    progress.reset();
    outcome = engine::RunAtTerminal(*engine, std::move(command), terminal, &Interrupted(),
                                    InterruptDescriptor());
  }
  ReportLimit("shell", outcome);
  return outcome.exit_code;
}

}  // namespace

void AddShell(CLI::App& program, Context& context) {
  auto* command = program.add_subcommand("shell", "A shell in a sandbox, at this terminal");
  const auto arguments = std::make_shared<ShellArguments>();
  AddCommandOptions(*command, arguments->options);
  command->add_flag("--python", arguments->python, "Python instead of a shell");
  command->callback([arguments, &context] {
    context.exit_code = WithCommandCodes([&] { return RunShell(*arguments, context); });
  });
}

}  // namespace rundlet::cli
