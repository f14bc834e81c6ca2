// rundlet: the program people use. One file a command; this one holds the global options and
// reports errors.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "base/error.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "engine/config.h"
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
  program.add_option("-o,--output", options.output, "How data is printed: text or json")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Output>{{"text", Output::kText}, {"json", Output::kJson}}));
  program.add_flag("-q,--quiet", options.quiet, "No progress");
  program.add_flag("-v,--verbose", options.verbose, "More detail");
  program.add_flag("--offline", options.offline,
                   "Use no network: what is not there is an error (RUNDLET_OFFLINE)");
  program.add_flag("--timings", options.timings, "Where the time went");
  program.set_version_flag("--version", "rundlet " RUNDLET_VERSION);
}

int ReportError(const base::Error& error) {
  std::fputs(error.Render().c_str(), stderr);
  if (error.fault() == base::Fault::kBug) {
    std::fputs("hint: this is a bug in rundlet; please report it with the lines above\n", stderr);
  }
  return static_cast<int>(error.fault());
}

int Main(int argc, char** argv) {
  CatchInterrupts();
  Context context;
  CLI::App program("rundlet: Python steps in sandboxes, without containers to build");
  program.require_subcommand(1);
  program.fallthrough();
  AddGlobalOptions(program, context.options);
  for (const auto add : {AddRun, AddPlan, AddExec, AddShell, AddLock, AddImage, AddPackage,
                         AddTable, AddRuns, AddGc, AddDoctor}) {
    add(program, context);
  }
  try {
    program.parse(argc, argv);
    return context.exit_code;
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : static_cast<int>(base::Fault::kInvalid);
  } catch (const base::Cancelled&) {
    std::fputs("interrupted\n", stderr);
    return 128 + InterruptSignal();
  } catch (const base::Error& error) {
    return ReportError(error);
  } catch (const std::exception& error) {
    return ReportError(
        base::Error(base::Fault::kBug, "running this command").Because(error.what()));
  }
}

}  // namespace
}  // namespace rundlet::cli

int main(int argc, char** argv) { return rundlet::cli::Main(argc, argv); }
