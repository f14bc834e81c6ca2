// rundlet shell: a shell in a sandbox, at a terminal of its own.
#include "engine/command/shell.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "cli/commands/finish_bytecode.h"
#include "cli/options.h"
#include "cli/options/command_options.h"
#include "cli/options/project_options.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/terminal.h"
#include "engine/run/step_command.h"

namespace rundlet::cli {
namespace {

struct ShellArguments {
  CommandOptions options;
  ProjectOptions project;
  std::string step;                            // of the project
  std::pair<std::string, std::string> of_run;  // a run and its step
  enum class Of { kCommand, kStep, kStepOfRun } of = Of::kCommand;
  bool python = false;
};

engine::Command Prepare(engine::Engine& engine, const ShellArguments& arguments,
                        engine::EventBus& events) {
  std::vector<std::string> command =
      arguments.python ? std::vector<std::string>() : engine::ShellCommand();
  switch (arguments.of) {
    case ShellArguments::Of::kStep:
      return engine::PrepareStep(engine, engine::GatherProject(arguments.project.path),
                                 arguments.project.Request(), arguments.step, std::move(command),
                                 events, &Interrupted());
    case ShellArguments::Of::kStepOfRun:
      return engine::PrepareStepOfRun(engine, arguments.of_run.first, arguments.of_run.second,
                                      std::move(command), events, &Interrupted());
    case ShellArguments::Of::kCommand:
      break;
  }
  engine::CommandRequest request = arguments.options.Request();
  request.command = std::move(command);
  return engine::PrepareCommand(engine, std::move(request), events, &Interrupted());
}

int RunShell(const ShellArguments& arguments, const Context& context) {
  std::optional<Terminal> terminal(std::in_place);
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  std::optional<Progress> progress(context.options);
  engine::EventBus events(progress->Sink());
  engine::Command command = Prepare(*engine, arguments, events);
  progress.reset();
  const engine::ExecOutcome outcome = engine::RunAtTerminal(*engine, std::move(command), *terminal,
                                                            &Interrupted(), InterruptDescriptor());
  terminal.reset();
  ReportLimit("shell", outcome);
  if (outcome.exit_code == 0) FinishBytecode(*engine, context.options);
  return outcome.exit_code;
}

}  // namespace

void AddShell(CLI::App& program, Context& context) {
  auto* command = program.add_subcommand("shell", "A shell in a sandbox, at this terminal");
  const auto arguments = std::make_shared<ShellArguments>();
  AddCommandOptions(*command, arguments->options);
  // What a step says for itself.
  const std::vector<CLI::Option*> of_commands = command->get_options();
  auto* project =
      command->add_option("PROJECT", arguments->project.path,
                          "Directory of a project, for the sandbox of one of its steps");
  auto* step = command->add_option("STEP", arguments->step, "Its name");
  auto* of_run = command
                     ->add_option("--run", arguments->of_run,
                                  "The sandbox of a step of a run: its id, the beginning of it, or "
                                  "`last`; and the step's name")
                     ->type_name("RUN STEP");
  project->needs(step);
  of_run->excludes(project);
  for (CLI::Option* option : of_commands) {
    if (option->get_name() == "--help") continue;
    project->excludes(option);
    of_run->excludes(option);
  }
  command
      ->add_option("--param", arguments->project.parameters,
                   "Value of a parameter of the project: NAME=VALUE; may be repeated")
      ->allow_extra_args(false)
      ->needs(project);
  command->add_flag("--python", arguments->python, "Python instead of a shell");
  command->callback([arguments, step, of_run, &context] {
    if (!step->empty()) arguments->of = ShellArguments::Of::kStep;
    if (!of_run->empty()) arguments->of = ShellArguments::Of::kStepOfRun;
    context.exit_code = WithCommandCodes([&] { return RunShell(*arguments, context); });
  });
}

}  // namespace rundlet::cli
