// What `plan` and `run` have in common: a project, and how to plan it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/project/plan_project.h"

namespace CLI {
class App;
}

namespace rundlet::cli {

struct ProjectOptions {
  std::string path = ".";
  std::vector<std::string> parameters;  // "name=value"
  std::string only;
  bool no_cache = false;
  bool upgrade = false;

  // Throws base::Error (kInvalid) for a parameter that is no name=value.
  engine::PlanRequest Request() const;
};

void AddProjectOptions(CLI::App& command, ProjectOptions& options);

}  // namespace rundlet::cli
