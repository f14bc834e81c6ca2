// Which runs used which packages: written beside each run's record when it begins, read by `package
// why` and by pruning.
#pragma once

#include <string>
#include <vector>

#include "data/history/runs.h"
#include "engine/core/engine.h"
#include "engine/project/plan_project.h"

namespace rundlet::engine {

struct PackageUse {
  std::string run;
  std::string project;
  std::string step;  // empty: rundlet's own steps (SQL, scans, materialization)
  std::string name;
  std::string version;
  std::string package;  // keys of the entries
  std::string lower;
};

// Everything that the plan's steps have in their environments.
void RecordPackageUses(const data::Run& run, const PlannedProject& planned);

// Of all runs that are kept, newest run first. A run without a record, or with one that cannot be
// read, used nothing.
std::vector<PackageUse> ListPackageUses(Engine& engine);

}  // namespace rundlet::engine
