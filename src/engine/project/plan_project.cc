#include "engine/project/plan_project.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "data/tables/tables.h"
#include "engine/core/jobs.h"
#include "engine/locks/requirements.h"
#include "engine/locks/resolver.h"
#include "engine/packages/environments.h"
#include "engine/packages/kept_environment.h"
#include "engine/project/project_locks.h"
#include "engine/project/reader.h"
#include "engine/project/step_imports.h"
#include "plans/plan/planner.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

constexpr size_t kPartsLimit = 4 << 20;

std::vector<const plans::Step*> AllSteps(const plans::Pipeline& pipeline) {
  std::vector<const plans::Step*> steps;
  for (const plans::Step& step : pipeline.models) steps.push_back(&step);
  for (const plans::Step& step : pipeline.expectations) steps.push_back(&step);
  return steps;
}

void FindImages(Engine& engine, PlannedProject& planned) {
  std::set<plans::ImageName> used;
  for (const plans::Step* step : AllSteps(planned.pipeline)) used.insert(step->image);
  if (!planned.pipeline.engine_image.empty()) used.insert(planned.pipeline.engine_image);
  for (const plans::ImageName& name : used) {
    planned.images.emplace(
        name, rootfs::FindImage(engine.store(), planned.pipeline.config.images.at(name)));
  }
}

// All that is needed, each distinct lock once, in parallel; kept ones cost a file read each.
void ResolveAll(Engine& engine, const Project& project, PlannedProject& planned,
                const PlanRequest& request, EventBus& events, const base::CancelToken* cancel) {
  const Freshness freshness = request.upgrade ? Freshness::kUpgrade : Freshness::kKept;
  std::mutex mutex;
  const auto keep = [&](rootfs::Lock& slot, Resolution resolution) {
    const std::lock_guard guard(mutex);
    if (!resolution.cached) ++planned.resolved;
    const int64_t at = resolution.lock.resolved_at;
    if (planned.oldest_lock == 0 || at < planned.oldest_lock) planned.oldest_lock = at;
    slot = std::move(resolution.lock);
    // The project's word is for all its steps; most need none of it.
    std::erase_if(slot.preferred, [&slot](const std::string& name) {
      return std::none_of(slot.distributions.begin(), slot.distributions.end(),
                          [&name](const auto& one) { return one.name == name; });
    });
  };
  const auto sources_of = [&](const std::vector<std::string>& texts) {
    RequirementSources sources = SourcesIn(project, planned.pipeline, texts);
    sources.preferred = planned.pipeline.config.python.prefer;
    return sources;
  };
  std::vector<Job> jobs;
  for (const auto& [name, image] : planned.images) {
    rootfs::Lock& slot = planned.engine_locks[name];
    jobs.push_back({.lane = Lane::kNetwork, .run = [&, image_pointer = &image] {
                      keep(slot, ResolveShipped(engine, *image_pointer, "sql-requirements.txt",
                                                events, cancel));
                    }});
  }
  // Steps with equal requirements on one image share a resolution.
  std::map<std::pair<plans::ImageName, std::vector<std::string>>, std::vector<const plans::Step*>>
      groups;
  for (const plans::Step* step : AllSteps(planned.pipeline)) {
    if (step->kind == plans::StepKind::kSql) continue;
    groups[{step->image, EffectiveRequirements(engine, project, planned.pipeline, *step, cancel)}]
        .push_back(step);
  }
  for (const auto& [key, steps] : groups) {
    for (const plans::Step* step : steps) planned.locks[step->name];
    jobs.push_back({.lane = Lane::kNetwork, .run = [&, key_pointer = &key, steps_pointer = &steps] {
                      const std::string label =
                          fmt::format("step `{}`", steps_pointer->front()->name.text());
                      const Resolution resolution = Resolve(
                          engine, planned.images.at(key_pointer->first),
                          GatherRequirements(engine, sources_of(key_pointer->second), cancel),
                          freshness, label, events, cancel);
                      for (const plans::Step* step : *steps_pointer)
                        keep(planned.locks.at(step->name), resolution);
                    }});
  }
  ThrowFirstError(RunJobs(jobs, {.network = 4}, cancel));
}

// A fact about a lock: equal distributions on equal interpreters give equal digests.
plans::Environment EnvironmentOf(const rootfs::Lock& lock, const rootfs::Interpreter& interpreter) {
  plans::Environment environment;
  base::Sha256 hash;
  hash.AddField(interpreter.identity.hex());
  for (const rootfs::Distribution& distribution : lock.distributions) {
    hash.AddField(distribution.name);
    hash.AddField(distribution.sha256.hex());
    environment.distributions.push_back(
        {distribution.name, distribution.version, distribution.sha256, distribution.size});
  }
  for (const std::string& name : lock.preferred) {
    hash.AddField("preferred");
    hash.AddField(name);
  }
  environment.digest = hash.Finish();
  return environment;
}

// What is known of environments that were put together before; those of others are told when they
// are. Most steps share one, and looking at it means reading the records of all its packages.
void NoteWarnings(Engine& engine, const PlannedProject& planned, EventBus& events) {
  std::map<std::pair<plans::ImageName, base::Digest>, std::vector<std::string>> known;
  for (const plans::Step* step : AllSteps(planned.pipeline)) {
    const auto lock = planned.locks.find(step->name);
    if (lock == planned.locks.end()) continue;
    const rootfs::Image& image = planned.images.at(step->image);
    const base::Digest digest = EnvironmentOf(lock->second, image.interpreter).digest;
    const auto [warnings, is_new] = known.try_emplace({step->image, digest});
    if (is_new) warnings->second = KnownWarnings(engine, image, lock->second);
    for (const std::string& warning : warnings->second)
      events.Send({.kind = EventKind::kNote, .task = step->name.text(), .text = warning});
  }
}

struct Glob {
  glob_t found{};
  explicit Glob(const std::string& pattern) { result = glob(pattern.c_str(), 0, nullptr, &found); }
  ~Glob() { globfree(&found); }
  Glob(const Glob&) = delete;
  Glob& operator=(const Glob&) = delete;
  int result;
};

// As a pattern that means this path alone.
std::string Literally(const std::string& path) {
  std::string pattern;
  for (const char c : path) {
    if (std::string_view("*?[\\").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

std::vector<std::string> FilesOf(const Project& project, const plans::TableName& name,
                                 const plans::SourceTable& table) {
  const std::string pattern =
      table.path.starts_with('/') ? table.path : Literally(project.root) + "/" + table.path;
  const Glob glob(pattern);
  std::vector<std::string> paths;
  if (glob.result == 0)
    paths.assign(glob.found.gl_pathv, glob.found.gl_pathv + glob.found.gl_pathc);
  if (!paths.empty()) return paths;
  throw Error(Fault::kInvalid,
              fmt::format("{}:{}: table `{}`", table.place.file, table.place.line, name.text()))
      .Because(fmt::format("no file matches `{}`", base::Printable(table.path)));
}

std::string PartsPath(const std::string& project, const plans::StepName& step) {
  return fmt::format("cache/steps/{}/{}", project, step.text());
}
std::string HeldPath(const base::Digest& fingerprint) { return "cache/held/" + fingerprint.hex(); }

void AddPackageFacts(Engine& engine, const PlannedProject& planned, plans::Facts& facts) {
  const auto add = [&](const rootfs::Lock& lock, const rootfs::Image& image) {
    const rootfs::Interpreter& interpreter = image.interpreter;
    std::optional<bool> kept;  // the environment is there as a whole
    for (const rootfs::Distribution& distribution : lock.distributions) {
      if (facts.installed.contains({distribution.sha256, interpreter.identity})) continue;
      if (!kept) kept = KeptEnvironment(engine, image, lock).Find().has_value();
      if (*kept || IsInstalled(engine, distribution, interpreter)) {
        facts.installed.insert({distribution.sha256, interpreter.identity});
      } else if (IsFetched(engine, distribution)) {
        facts.fetched.insert(distribution.sha256);
      }
    }
  };
  for (const auto& [image, lock] : planned.engine_locks) add(lock, planned.images.at(image));
  for (const plans::Step* step : AllSteps(planned.pipeline)) {
    const auto lock = planned.locks.find(step->name);
    if (lock != planned.locks.end()) add(lock->second, planned.images.at(step->image));
  }
}

void AddResultFacts(Engine& engine, const PlannedProject& planned, plans::Facts& facts) {
  for (const plans::Step* step : AllSteps(planned.pipeline)) {
    if (const auto table = data::FindTable(engine.store(), planned.name, step->name.text());
        table.has_value() && table->fingerprint.has_value()) {
      facts.results.emplace(*table->fingerprint, plans::KeptResult{table->rows(), table->bytes()});
    }
    const auto file =
        base::TryOpenAt(engine.store().dir(), PartsPath(planned.name, step->name), O_RDONLY);
    if (!file.has_value()) continue;
    if (auto parts =
            plans::PartsFromJson(base::ReadFd(file->get(), kPartsLimit, "a step's record"))) {
      if (step->kind == plans::StepKind::kExpectation) {
        const base::Digest fingerprint = plans::FingerprintOf(*parts);
        if (base::ExistsAt(engine.store().dir(), HeldPath(fingerprint)))
          facts.results.emplace(fingerprint, plans::KeptResult{});
      }
      facts.recorded.emplace(step->name, *std::move(parts));
    }
  }
}

plans::Facts GatherFacts(Engine& engine, const PlannedProject& planned) {
  plans::Facts facts;
  for (const auto& [name, image] : planned.images) {
    facts.images.emplace(
        name, plans::ImageFacts{image.interpreter.identity, image.interpreter.version,
                                EnvironmentOf(planned.engine_locks.at(name), image.interpreter)});
  }
  for (const plans::Step* step : AllSteps(planned.pipeline)) {
    if (step->kind == plans::StepKind::kSql) continue;
    facts.environments.emplace(
        step->name,
        EnvironmentOf(planned.locks.at(step->name), planned.images.at(step->image).interpreter));
  }
  for (const auto& [name, paths] : planned.sources)
    facts.sources.emplace(name, SourceFactsOf(paths));
  AddPackageFacts(engine, planned, facts);
  AddResultFacts(engine, planned, facts);
  return facts;
}

// A directory's name need not be one that files of ours can have.
std::string SafeName(const std::string& text) {
  std::string name;
  for (const char c : text)
    name += plans::IsAsciiLetter(c) || plans::IsAsciiDigit(c) || c == '-' ? c : '_';
  return name.empty() || name.size() > 100 ? "project" : name;
}

}  // namespace

PlannedProject PlanProject(Engine& engine, const Project& project, const PlanRequest& request,
                           EventBus& events, const base::CancelToken* cancel) {
  PlannedProject planned;
  planned.pipeline = ReadProject(engine, project, events, cancel);
  const std::string& own_name = planned.pipeline.config.name;
  planned.name = SafeName(own_name.empty() ? project.name : own_name);
  planned.parameters = plans::BindParameters(planned.pipeline, request.parameters);
  FindImages(engine, planned);
  for (const plans::Step* step : AllSteps(planned.pipeline)) {
    for (const plans::Input& input : step->inputs) {
      const auto* table = std::get_if<plans::TableName>(&input.table);
      if (table == nullptr || planned.sources.contains(*table)) continue;
      planned.sources.emplace(*table,
                              FilesOf(project, *table, planned.pipeline.config.tables.at(*table)));
    }
  }
  ResolveAll(engine, project, planned, request, events, cancel);
  NoteWarnings(engine, planned, events);
  const plans::Facts facts = GatherFacts(engine, planned);
  for (const auto& [name, source] : facts.sources)
    planned.source_contents.emplace(name, source.content);
  planned.plan = plans::MakePlan(planned.pipeline, facts,
                                 {.parameters = planned.parameters,
                                  .only = request.only,
                                  .ignore_results = request.ignore_results});
  CheckImports(engine, planned);
  return planned;
}

// Reading all of it to plan would cost more than most runs.
plans::SourceFacts SourceFactsOf(const std::vector<std::string>& paths) {
  plans::SourceFacts facts;
  base::Sha256 hash;
  for (const std::string& path : paths) {
    struct stat info;
    if (stat(path.c_str(), &info) < 0) base::ThrowErrno("looking at `{}`", path);
    hash.AddField(path);
    hash.AddField(fmt::format("{} {} {} {}", info.st_size, info.st_ino, info.st_mtim.tv_sec,
                              info.st_mtim.tv_nsec));
    facts.bytes += static_cast<uint64_t>(info.st_size);
  }
  facts.content = hash.Finish();
  return facts;
}

void RecordParts(Engine& engine, const std::string& project, const plans::PlannedStep& step) {
  base::MakeDirs(engine.store().dir(), "cache/steps/" + project, 0700);
  base::ReplaceAt(engine.store().dir(), PartsPath(project, step.name),
                  plans::PartsToJson(step.parts), 0600, base::Durability::kNone);
}

void RecordHeld(Engine& engine, const base::Digest& fingerprint, uint64_t rows) {
  base::MakeDirs(engine.store().dir(), "cache/held", 0700);
  base::ReplaceAt(engine.store().dir(), HeldPath(fingerprint), std::to_string(rows), 0600,
                  base::Durability::kNone);
}

}  // namespace rundlet::engine
