// rundlet: the program people use. One file a command; this one holds the global options and
// reports errors.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "cli/options.h"
#include "cli/options/choice.h"
#include "cli/options/own_scope.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/output.h"
#include "engine/core/config.h"
#include "runtime/launcher.h"

namespace rundlet::cli {

engine::Config Context::ReadConfig() const {
  engine::Config config = engine::ConfigFromEnvironment();
  if (!options.state.empty()) config.state_dir = options.state;
  config.offline |= options.offline;
  return config;
}

std::unique_ptr<engine::Engine> Context::OpenEngine() const {
  return std::make_unique<engine::Engine>(ReadConfig());
}

namespace {

void AddGlobalOptions(CLI::App& program, Options& options) {
  program.add_option("--state", options.state, "State directory (RUNDLET_STATE)");
  AddChoice(
      program, "-o,--output", {"text", "json"},
      [&options](size_t word) { options.output = word == 0 ? Output::kText : Output::kJson; },
      "How data is printed: text or json");
  program.add_flag("-q,--quiet", options.quiet, "No progress");
  program.add_flag("-v,--verbose", options.verbose, "More detail");
  program.add_flag("--offline", options.offline,
                   "Use no network: what is not there is an error (RUNDLET_OFFLINE)");
  program.add_flag("--timings", options.timings, "Where the time went");
  program.set_version_flag("--version", "rundlet " RUNDLET_VERSION);
}

struct Command {
  std::string_view name;
  void (*add)(CLI::App& program, Context& context);
};
constexpr Command kCommands[] = {{"run", AddRun},         {"plan", AddPlan},    {"exec", AddExec},
                                 {"shell", AddShell},     {"lock", AddLock},    {"image", AddImage},
                                 {"package", AddPackage}, {"table", AddTable},  {"runs", AddRuns},
                                 {"gc", AddGc},           {"doctor", AddDoctor}};

// What its caller closed would be the number of the next file that is opened here: what is printed
// would go into that, and a sandbox would get it for a stream.
bool OpenClosedStreams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0) return false;
  }
  return true;
}

// Describing all of them takes longer than all else that is done before a sandbox is asked for: if
// one is named, it alone is (and whatever else has such a name). For help, and for a name that
// nobody knows, all are.
void AddCommands(CLI::App& program, Context& context, std::span<char* const> words) {
  const auto named = [words](std::string_view name) {
    return std::find(words.begin(), words.end(), name) != words.end();
  };
  const bool any = std::any_of(std::begin(kCommands), std::end(kCommands),
                               [&](const Command& command) { return named(command.name); });
  const bool all = !any || named("-h") || named("--help");
  for (const Command& command : kCommands) {
    if (all || named(command.name)) command.add(program, context);
  }
}

int ReportError(base::Error& error) {
  RetryInOwnScope(error);
  std::fputs(error.Render().c_str(), stderr);
  if (error.fault() == base::Fault::kBug) {
    std::fputs("hint: this is a bug in rundlet; please report it with the lines above\n", stderr);
  }
  return static_cast<int>(error.fault());
}

int ReportBug(const std::exception& error) {
  base::Error bug(base::Fault::kBug, "running this command");
  bug.Because(error.what());
  return ReportError(bug);
}

// Help and the version are asked for, and no fault.
int ReportUsage(const CLI::App& program, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) {
    const int exit_code = program.exit(error);
    FlushOutput();
    return exit_code;
  }
  std::string cause = base::Printable(error.what());
  const auto is_capital = [&cause](size_t i) {
    return i < cause.size() && cause[i] >= 'A' && cause[i] <= 'Z';
  };
  if (is_capital(0) && !is_capital(1)) cause[0] = static_cast<char>(cause[0] - 'A' + 'a');
  base::Error refusal = base::Error(base::Fault::kInvalid, "reading the command line")
                            .Because(std::move(cause))
                            .Hint(
                                "`rundlet --help` lists the commands, `rundlet COMMAND --help` "
                                "what one takes");
  return ReportError(refusal);
}

// What a command throws, told.
template <typename Work>
int Reporting(const Work& work) {
  try {
    return work();
  } catch (const base::Cancelled&) {
    std::fputs("interrupted\n", stderr);
    return 128 + InterruptSignal();
  } catch (base::Error& error) {
    return ReportError(error);
  } catch (const std::system_error& error) {
    if (std::ferror(stdout) == 0) return ReportBug(error);
    base::Error lost = LostOutput(error.code().value());  // fmt found it
    return ReportError(lost);
  } catch (const std::exception& error) {
    return ReportBug(error);
  }
}

int Main(int argc, char** argv) {
  if (!OpenClosedStreams()) return static_cast<int>(base::Fault::kHost);  // nobody could read why
  CatchInterrupts();
  Context context;
  CLI::App program("rundlet: Python steps in sandboxes, without containers to build");
  program.require_subcommand(1);
  program.fallthrough();
  AddGlobalOptions(program, context.options);
  AddCommands(program, context, {argv, static_cast<size_t>(argc)});
  return Reporting([&] {
    try {
      program.parse(argc, argv);
      FlushOutput();
      return context.exit_code;
    } catch (const CLI::ParseError& error) {
      return ReportUsage(program, error);
    }
  });
}

}  // namespace
}  // namespace rundlet::cli

int main(int argc, char** argv) { return rundlet::cli::Main(argc, argv); }
