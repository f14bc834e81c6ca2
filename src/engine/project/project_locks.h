// The locks of a project: files that uv and pip read too, from which its steps run once they are
// there.
//
// `pylock.toml` is for the steps that take the project's defaults, `pylock.STEP.toml` for one that
// states its packages or its image itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "engine/locks/requirements.h"
#include "engine/project/project.h"
#include "plans/pipeline.h"

namespace rundlet::engine {

// What a step's packages are resolved from: its requirements (and pyarrow, which hands tables over,
// unless it says that itself), or its lock, "-r pylock.toml", when the project has locks. Throws
// base::Error (kInvalid) for a lock that is older than the requirements, and for a step without one
// in a project with locks.
std::vector<std::string> EffectiveRequirements(Engine& engine, const Project& project,
                                               const plans::Pipeline& pipeline,
                                               const plans::Step& step,
                                               const base::CancelToken* cancel);

// `texts` as requirements of this project: where it lies, which indexes it names.
RequirementSources SourcesIn(const Project& project, const plans::Pipeline& pipeline,
                             std::vector<std::string> texts);

struct UpgradeWish {
  bool all = false;                // resolve everything again
  std::vector<std::string> names;  // these packages only; what they need may follow
};

struct ProjectLock {
  std::string file;                // "pylock.toml"
  std::string text;                // what it should hold
  std::vector<std::string> steps;  // that run from it
  size_t packages = 0;
  bool changed = false;  // from what is there
};

// Resolves what the steps need and puts the environments together, so that what cannot be together
// is refused here. A lock whose requirements are unchanged is kept; otherwise versions are kept
// where they can be. Writes nothing. Throws plans::InvalidPipeline, base::Error, Cancelled.
std::vector<ProjectLock> LockProject(Engine& engine, const Project& project,
                                     const UpgradeWish& upgrade, EventBus& events,
                                     const base::CancelToken* cancel);

}  // namespace rundlet::engine
