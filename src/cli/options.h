// What every command has: global options, output, interruption.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"

namespace CLI {
class App;
}

namespace rundlet::cli {

enum class Output { kText, kJson };

struct Options {
  std::string state;  // --state; empty: RUNDLET_STATE, else the default
  Output output = Output::kText;
  bool quiet = false;
  bool verbose = false;
  bool timings = false;
  bool offline = false;
};

// What a command works with. Commands write data to standard output and talk to standard error.
struct Context {
  Options options;
  int exit_code = 0;

  // The administrator's settings; options win over the environment.
  engine::Config ReadConfig() const;
  // Opens the state directory that the options name.
  std::unique_ptr<engine::Engine> OpenEngine() const;
};

// Each command adds itself to the program; its callback does the work and sets Context::exit_code.
// One file each.
void AddImage(CLI::App& program, Context& context);
void AddLock(CLI::App& program, Context& context);
void AddExec(CLI::App& program, Context& context);
void AddShell(CLI::App& program, Context& context);
void AddPlan(CLI::App& program, Context& context);
void AddRun(CLI::App& program, Context& context);
void AddPackage(CLI::App& program, Context& context);
void AddTable(CLI::App& program, Context& context);
void AddRuns(CLI::App& program, Context& context);
void AddGc(CLI::App& program, Context& context);
void AddDoctor(CLI::App& program, Context& context);

}  // namespace rundlet::cli
