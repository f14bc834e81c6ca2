#include "cli/options/project_options.h"

#include <CLI/CLI.hpp>

#include "base/error.h"

namespace rundlet::cli {

engine::PlanRequest ProjectOptions::Request() const {
  engine::PlanRequest request;
  for (const std::string& parameter : parameters) {
    const size_t equals = parameter.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw base::Error(base::Fault::kInvalid, fmt::format("reading `--param {}`", parameter))
          .Because("it is not of the form NAME=VALUE");
    }
    request.parameters.emplace_back(parameter.substr(0, equals), parameter.substr(equals + 1));
  }
  request.only = only;
  request.ignore_results = no_cache;
  request.upgrade = upgrade;
  return request;
}

void AddProjectOptions(CLI::App& command, ProjectOptions& options) {
  command.add_option("PATH", options.path, "Directory of the project")->capture_default_str();
  command
      .add_option("--param", options.parameters,
                  "Value of a parameter: NAME=VALUE; may be repeated")
      ->allow_extra_args(false);
  command.add_option("--only", options.only, "Only this model or expectation, and what it needs");
  command.add_flag("--no-cache", options.no_cache, "Run every step, also those with a kept result");
  command.add_flag("--upgrade", options.upgrade, "Resolve the packages again");
}

}  // namespace rundlet::cli
