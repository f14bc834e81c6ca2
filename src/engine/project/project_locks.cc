#include "engine/project/project_locks.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "engine/core/toml.h"
#include "engine/locks/requirements.h"
#include "engine/locks/resolver.h"
#include "engine/packages/environments.h"
#include "engine/project/reader.h"
#include "rootfs/images/image.h"
#include "rootfs/requirements/pylock.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

constexpr const char* kDefaultLock = "pylock.toml";

bool IsAnyLock(const std::string& text) {
  const auto file = FileOfRequirement(text);
  return file.has_value() && IsPylock(*file);
}

// The user's requirements and pyarrow; the user's own word on pyarrow wins, and a lock says all
// there is.
std::vector<std::string> StatedRequirements(const plans::Step& step) {
  std::vector<std::string> requirements = step.requirements;
  const bool said =
      std::any_of(requirements.begin(), requirements.end(), [](const std::string& text) {
        if (FileOfRequirement(text).has_value()) return IsAnyLock(text);
        return rootfs::ParseRequirement(text).name == "pyarrow";
      });
  if (!said) requirements.emplace_back("pyarrow");
  return requirements;
}

std::string LockFileOf(const plans::Pipeline& pipeline, const plans::Step& step) {
  const bool defaults =
      step.requirements == pipeline.config.python.pip && step.image == pipeline.engine_image;
  return defaults ? kDefaultLock : fmt::format("pylock.{}.toml", step.name.text());
}

// What a lock was made from, for telling whether it is still that.
base::Digest InputsOf(const rootfs::RequirementSet& set, const std::string& python_tag) {
  base::Sha256 hash;
  hash.AddField("lock of a project 1");
  hash.AddField(rootfs::DigestOf(set).hex());
  hash.AddField(python_tag);
  return hash.Finish();
}

std::vector<const plans::Step*> PythonSteps(const plans::Pipeline& pipeline) {
  std::vector<const plans::Step*> steps;
  for (const auto* list : {&pipeline.models, &pipeline.expectations}) {
    for (const plans::Step& step : *list) {
      if (step.kind != plans::StepKind::kSql) steps.push_back(&step);
    }
  }
  return steps;
}

rootfs::Image ImageOf(Engine& engine, const plans::Pipeline& pipeline, const plans::Step& step) {
  return rootfs::FindImage(engine.store(), pipeline.config.images.at(step.image));
}

rootfs::PylockNotes NotesOf(Engine& engine, const std::string& file, const std::string& text,
                            const base::CancelToken* cancel) {
  try {
    return rootfs::ReadPylockNotes(ParseToml(engine, text, cancel));
  } catch (Error& error) {
    if (error.fault() == Fault::kInvalid) error.While(fmt::format("reading `{}`", file));
    throw;
  }
}

// The locked versions as bounds, but for the packages that are to move.
std::vector<rootfs::Requirement> BoundsFrom(const rootfs::PylockNotes& notes,
                                            const std::vector<std::string>& moving) {
  std::vector<rootfs::Requirement> bounds;
  for (const auto& [name, version] : notes.versions) {
    const bool moves = std::any_of(moving.begin(), moving.end(), [&](const std::string& one) {
      return rootfs::NormaliseName(one) == name;
    });
    if (!moves) bounds.push_back(rootfs::ParseRequirement(name + "==" + version));
  }
  return bounds;
}

class ProjectLocker {
 public:
  ProjectLocker(Engine& engine, const Project& project, const UpgradeWish& upgrade,
                EventBus& events, const base::CancelToken* cancel)
      : engine_(engine), project_(project), upgrade_(upgrade), events_(events), cancel_(cancel) {}

  ProjectLock Lock(const plans::Pipeline& pipeline, const plans::Step& step) {
    const rootfs::Image image = ImageOf(engine_, pipeline, step);
    ProjectLock lock{.file = LockFileOf(pipeline, step), .text = {}, .steps = {}};
    RequirementSources sources = SourcesIn(project_, pipeline, StatedRequirements(step));
    const Requirements wanted = GatherRequirements(engine_, sources, cancel_);
    const base::Digest inputs = InputsOf(wanted.set, image.interpreter.tag);
    const auto there = project_.locks.find(lock.file);
    rootfs::PylockNotes notes;
    if (there != project_.locks.end()) notes = NotesOf(engine_, lock.file, there->second, cancel_);
    lock.packages = notes.versions.size();
    const bool moves = upgrade_.all || !upgrade_.names.empty();
    if (!moves && notes.inputs == inputs.hex()) {
      lock.text = there->second;
      return lock;
    }
    rootfs::Lock resolved = ResolveNear(wanted, notes, image, lock.file);
    for (const std::string& name : pipeline.config.python.prefer) {
      const bool is_in = std::any_of(resolved.distributions.begin(), resolved.distributions.end(),
                                     [&](const auto& one) { return one.name == name; });
      if (is_in) resolved.preferred.push_back(name);
    }
    EnsureEnvironment(engine_, image, resolved, events_, cancel_);
    lock.text = rootfs::FormatPylock(resolved, image.interpreter.tag, inputs);
    lock.packages = resolved.distributions.size();
    lock.changed = there == project_.locks.end() || there->second != lock.text;
    return lock;
  }

 private:
  rootfs::Lock ResolveNear(const Requirements& wanted, const rootfs::PylockNotes& notes,
                           const rootfs::Image& image, const std::string& file) {
    const std::string label = fmt::format("`{}`", file);
    const Freshness freshness =
        upgrade_.all || !upgrade_.names.empty() ? Freshness::kUpgrade : Freshness::kKept;
    Requirements bounded{wanted.set, {}};
    if (!upgrade_.all) bounded.set.constraints = Joined(wanted.set.constraints, notes);
    const bool has_bounds = bounded.set.constraints.size() > wanted.set.constraints.size();
    if (!has_bounds || !wanted.wheels.empty())
      return Resolve(engine_, image, wanted, freshness, label, events_, cancel_).lock;
    try {
      return Resolve(engine_, image, bounded, freshness, label, events_, cancel_).lock;
    } catch (const base::Cancelled&) {
      throw;
    } catch (const Error& error) {
      if (error.fault() != Fault::kInvalid) throw;
      events_.Send({.kind = EventKind::kNote,
                    .task = label,
                    .text = "the locked versions no longer fit together; all are resolved again"});
      return Resolve(engine_, image, wanted, Freshness::kUpgrade, label, events_, cancel_).lock;
    }
  }

  std::vector<rootfs::Requirement> Joined(std::vector<rootfs::Requirement> constraints,
                                          const rootfs::PylockNotes& notes) const {
    for (rootfs::Requirement& bound : BoundsFrom(notes, upgrade_.names))
      constraints.push_back(std::move(bound));
    return constraints;
  }

  Engine& engine_;
  const Project& project_;
  const UpgradeWish& upgrade_;
  EventBus& events_;
  const base::CancelToken* cancel_;
};

}  // namespace

RequirementSources SourcesIn(const Project& project, const plans::Pipeline& pipeline,
                             std::vector<std::string> texts) {
  RequirementSources sources{.texts = std::move(texts), .preferred = {}, .directory = project.root};
  for (const plans::ProjectIndex& index : pipeline.config.indexes)
    sources.indexes.push_back({index.name, index.url, index.packages});
  sources.built = pipeline.config.python.build;
  sources.uploaded_before = pipeline.config.python.exclude_newer;
  return sources;
}

std::vector<std::string> EffectiveRequirements(Engine& engine, const Project& project,
                                               const plans::Pipeline& pipeline,
                                               const plans::Step& step,
                                               const base::CancelToken* cancel) {
  std::vector<std::string> stated = StatedRequirements(step);
  const bool names_its_lock = std::any_of(stated.begin(), stated.end(), IsAnyLock);
  if (project.locks.empty() || names_its_lock) return stated;
  const std::string file = LockFileOf(pipeline, step);
  const auto lock = project.locks.find(file);
  const auto refuse = [&](std::string cause) {
    throw Error(Fault::kInvalid,
                fmt::format("running step `{}` from the project's locks", step.name.text()))
        .Because(std::move(cause))
        .Hint("`rundlet lock` brings them up to date");
  };
  if (lock == project.locks.end())
    refuse(fmt::format("it states its own packages, and there is no `{}`", file));
  const rootfs::PylockNotes notes = NotesOf(engine, file, lock->second, cancel);
  if (!notes.inputs.empty()) {
    const Requirements wanted =
        GatherRequirements(engine, SourcesIn(project, pipeline, stated), cancel);
    const std::string& tag = ImageOf(engine, pipeline, step).interpreter.tag;
    if (notes.inputs != InputsOf(wanted.set, tag).hex())
      refuse(fmt::format("its requirements have changed since `{}` was written", file));
  }
  if (!notes.versions.contains("pyarrow"))
    refuse(fmt::format("`{}` has no `pyarrow`, which hands tables over", file));
  return {"-r " + file};
}

std::vector<ProjectLock> LockProject(Engine& engine, const Project& project,
                                     const UpgradeWish& upgrade, EventBus& events,
                                     const base::CancelToken* cancel) {
  const plans::Pipeline pipeline = ReadProject(engine, project, events, cancel);
  ProjectLocker locker(engine, project, upgrade, events, cancel);
  std::map<std::string, ProjectLock> locks;
  for (const plans::Step* step : PythonSteps(pipeline)) {
    if (std::any_of(step->requirements.begin(), step->requirements.end(), IsAnyLock)) continue;
    const std::string file = LockFileOf(pipeline, *step);
    if (!locks.contains(file)) locks.emplace(file, locker.Lock(pipeline, *step));
    locks.at(file).steps.push_back(step->name.text());
  }
  std::vector<ProjectLock> list;
  for (auto& [file, lock] : locks) list.push_back(std::move(lock));
  return list;
}

}  // namespace rundlet::engine
