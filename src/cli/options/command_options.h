// What `exec` and `shell` have in common: the options that describe a sandbox, and how its end is
// told.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/options/limit_options.h"
#include "engine/command/command.h"
#include "engine/command/exec.h"

namespace CLI {
class App;
}

namespace rundlet::cli {

struct CommandOptions {
  std::string image;
  engine::RequirementSources requirements;
  std::vector<std::string> requirement_files;
  std::vector<std::string> indexes;
  engine::Composition composition = engine::Composition::kOverlay;
  bool writable_environment = false;
  std::vector<std::string> mounts;
  std::vector<std::string> environment;
  std::string cwd;
  std::string network = "none";
  bool upgrade = false;
  LimitOptions limits;

  // Without a command. Throws base::Error (kInvalid) that names the option.
  engine::CommandRequest Request() const;
};

void AddCommandOptions(CLI::App& command, CommandOptions& options);

// Says which limit ended `command`, if one did.
void ReportLimit(const std::string& command, const engine::ExecOutcome& outcome);

// The child's own code is passed through; what rundlet itself has to say is told apart by 125.
int WithCommandCodes(const std::function<int()>& run);

}  // namespace rundlet::cli
