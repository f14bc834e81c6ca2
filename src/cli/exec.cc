// rundlet exec: one command in a sandbox.
#include "engine/exec.h"

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
#include "cli/interrupt.h"
#include "cli/limit_options.h"
#include "cli/options.h"
#include "cli/progress.h"

namespace rundlet::cli {
namespace {

constexpr int kRundletFailed = 125;

struct ExecArguments {
  std::string image;
  engine::RequirementSources requirements;
  std::vector<std::string> requirement_files;
  std::vector<std::string> indexes;
  bool writable_environment = false;
  std::vector<std::string> mounts;
  std::vector<std::string> environment;
  std::string cwd;
  bool upgrade = false;
  LimitOptions limits;
  std::vector<std::string> command;
};

[[noreturn]] void Refuse(const std::string& option, const std::string& why) {
  throw base::Error(base::Fault::kInvalid, fmt::format("reading `{}`", option)).Because(why);
}

// SRC:DST[:ro|rw]; the source is opened here, with the rights of whoever runs this.
engine::UserMount ParseMount(const std::string& text) {
  const std::vector<std::string> parts = base::Split(text, ':');
  const bool with_mode = parts.size() == 3 && (parts[2] == "ro" || parts[2] == "rw");
  if (parts.size() != 2 && !with_mode)
    Refuse("--mount " + text, "it is not of the form SRC:DST[:ro|rw]");
  return {.source = base::OpenHostPath(parts[0], O_PATH),
          .target = parts[1],
          .writable = with_mode && parts[2] == "rw"};
}

std::pair<std::string, std::string> ParseVariable(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    Refuse("--env " + text, "it is not of the form NAME=VALUE");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

// PACKAGE[,PACKAGE]=URL. The index is named by its place among the others: nobody refers to it.
rootfs::PinnedIndex ParseIndex(const std::string& text, size_t number) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    Refuse("--index " + text, "it is not of the form PACKAGE[,PACKAGE]=URL");
  return {.name = fmt::format("index-{}", number),
          .url = text.substr(equals + 1),
          .packages = base::Split(text.substr(0, equals), ',')};
}

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
      fmt::print(stderr, "{:>9.3f} ms  {}\n", static_cast<double>(at - outcome.requested_at) / 1e6,
                 what);
  };
  line("image, packages and mounts known", outcome.prepared_at);
  for (size_t i = 0; i < outcome.stages.size(); ++i) {
    line(runtime::NameOf(static_cast<runtime::Stage>(i)), outcome.stages[i]);
  }
  line("the program has ended", outcome.ended_at);
  line("the sandbox is gone", base::MonotonicNanoseconds());
  fmt::print(stderr, "peak memory {}, processor time {}\n", base::HumanBytes(outcome.peak_memory),
             base::HumanDuration(outcome.cpu_time));
}

int RunExec(const ExecArguments& arguments, const Context& context) {
  engine::ExecRequest request = {.image = arguments.image,
                                 .requirements = arguments.requirements,
                                 .writable_environment = arguments.writable_environment,
                                 .upgrade = arguments.upgrade,
                                 .script = FindScript(arguments.command.front()),
                                 .command = arguments.command,
                                 .environment = {},
                                 .cwd = arguments.cwd,
                                 .mounts = {},
                                 .limits = ParseLimits(arguments.limits)};
  for (const std::string& file : arguments.requirement_files)
    request.requirements.texts.push_back("-r " + file);
  for (const std::string& index : arguments.indexes) {
    auto& indexes = request.requirements.indexes;
    indexes.push_back(ParseIndex(index, indexes.size() + 1));
  }
  for (const std::string& mount : arguments.mounts) request.mounts.push_back(ParseMount(mount));
  for (const std::string& variable : arguments.environment)
    request.environment.push_back(ParseVariable(variable));
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  Progress progress(context.options);
  engine::EventBus events(progress.Sink());
  const engine::ExecOutcome outcome =
      engine::Exec(*engine, std::move(request), events, &Interrupted(), InterruptDescriptor());
  if (context.options.timings) PrintTimings(outcome);
  if (outcome.limit.has_value()) {
    const base::Error error =
        base::Error(base::Fault::kStep, fmt::format("running `{}`", arguments.command.front()))
            .Because(*outcome.limit);
    std::fputs(error.Render().c_str(), stderr);
  }
  return outcome.exit_code;
}

}  // namespace

void AddExec(CLI::App& program, Context& context) {
  auto* command = program.add_subcommand("exec", "Run one command in a sandbox");
  const auto arguments = std::make_shared<ExecArguments>();
  command->add_option("--image", arguments->image, "Image to run in (default: the only one)");
  command
      ->add_option("--with", arguments->requirements.texts,
                   "Package requirement, such as 'pandas==2.2.3', or a wheel; may be repeated")
      ->allow_extra_args(false);
  command
      ->add_option("-r,--requirements", arguments->requirement_files,
                   "requirements.txt, pylock.toml or pyproject.toml[:GROUP]; may be repeated")
      ->allow_extra_args(false);
  command
      ->add_option("--prefer", arguments->requirements.preferred,
                   "Package whose files win where two bring the same; may be repeated")
      ->allow_extra_args(false);
  command
      ->add_option("--index", arguments->indexes,
                   "Where some packages come from instead: PACKAGE[,PACKAGE]=URL; may be repeated")
      ->allow_extra_args(false);
  command
      ->add_option("--build", arguments->requirements.built,
                   "Package to build from its source archive, in a sandbox; its version must be "
                   "pinned; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--exclude-newer", arguments->requirements.uploaded_before,
                      "Leave out what was uploaded later: 2026-01-31, or 2026-01-31T12:00:00Z");
  command->add_flag("--writable-env", arguments->writable_environment,
                    "Let the command write to /env; what it writes is dropped at the end");
  command->add_option("--mount", arguments->mounts, "Host file or directory: SRC:DST[:ro|rw]")
      ->allow_extra_args(false);
  command->add_option("--env", arguments->environment, "Environment variable: NAME=VALUE")
      ->allow_extra_args(false);
  command->add_option("--cwd", arguments->cwd, "Working directory inside");
  AddLimitOptions(*command, arguments->limits);
  command->add_flag("--upgrade", arguments->upgrade, "Resolve the packages again");
  command
      ->add_option("command", arguments->command,
                   "Command and its arguments, after --; or a Python script of this host")
      ->required();
  command->callback([arguments, &context] {
    // The child's own code is passed through; what rundlet itself has to say is told apart by 125.
    try {
      context.exit_code = RunExec(*arguments, context);
    } catch (const base::Cancelled&) {
      throw;
    } catch (const runtime::ProgramError& error) {
      std::fputs(error.Render().c_str(), stderr);
      context.exit_code = error.exit_code();
    } catch (const base::Error& error) {
      std::fputs(error.Render().c_str(), stderr);
      context.exit_code = kRundletFailed;
    }
  });
}

}  // namespace rundlet::cli
