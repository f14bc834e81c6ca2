// From a project to a plan: its pipeline read, its packages resolved, the facts gathered, the
// planner asked.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "engine/project/project.h"
#include "plans/pipeline.h"
#include "plans/plan/facts.h"
#include "plans/plan/plan.h"
#include "rootfs/images/image.h"
#include "rootfs/requirements/lock.h"

namespace rundlet::engine {

struct PlanRequest {
  std::vector<std::pair<std::string, std::string>> parameters;  // --param
  std::string only;                                             // --only
  bool ignore_results = false;                                  // --no-cache
  bool upgrade = false;                                         // resolve again
};

struct PlannedProject {
  std::string name;  // the project's own, else its directory's
  plans::Pipeline pipeline;
  plans::Plan plan;
  plans::ParameterValues parameters;
  std::map<plans::ImageName, rootfs::Image> images;
  std::map<plans::ImageName, rootfs::Lock> engine_locks;  // duckdb and pyarrow
  std::map<plans::StepName, rootfs::Lock> locks;          // of python steps and expectations
  std::map<plans::TableName, std::vector<std::string>>
      sources;                                               // host paths of source tables' files
  std::map<plans::TableName, base::Digest> source_contents;  // SourceFactsOf them
  size_t resolved = 0;                                       // locks that had to be resolved now
  int64_t oldest_lock = 0;                                   // seconds since the epoch; 0: no lock
};

// Nothing is installed but what reading the project needs. Throws plans::InvalidPipeline,
// base::Error, Cancelled.
PlannedProject PlanProject(Engine& engine, const Project& project, const PlanRequest& request,
                           EventBus& events, const base::CancelToken* cancel);

// What the files of a source table are: by path, size, inode and time of change. Throws base::Error
// for one that is not there.
plans::SourceFacts SourceFactsOf(const std::vector<std::string>& paths);

// Remembers what a step's result depended on, for explaining the next plan.
void RecordParts(Engine& engine, const std::string& project, const plans::PlannedStep& step);
// Remembers that an expectation held.
void RecordHeld(Engine& engine, const base::Digest& fingerprint, uint64_t rows);

}  // namespace rundlet::engine
