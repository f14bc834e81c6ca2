#include "engine/packages/environments.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "engine/core/jobs.h"
#include "engine/packages/bytecode.h"
#include "engine/packages/environment_check.h"
#include "engine/packages/kept_environment.h"
#include "engine/packages/wheel_fetcher.h"
#include "rootfs/packages/bytecode.h"
#include "rootfs/packages/flat_tree.h"
#include "rootfs/packages/package.h"
#include "rootfs/packages/venv.h"

namespace rundlet::engine {
namespace {

using rootfs::Distribution;
using store::Kind;

std::string LowerKeyOf(const Distribution& distribution, const rootfs::Interpreter& interpreter) {
  return rootfs::LowerKey(rootfs::PackageKey(distribution, interpreter.tag), interpreter);
}

// A package that is in the store, or about to be.
struct Package {
  store::EntryInfo info;
  std::string tree;                   // relative to the state directory
  std::vector<store::NewEntry> made;  // to be committed: itself, unless it was there
};

Package EnsurePackage(Engine& engine, const Distribution& distribution,
                      const std::string& python_tag, const base::CancelToken* cancel) {
  const std::string key = rootfs::PackageKey(distribution, python_tag);
  if (const auto there = engine.store().Find(Kind::kPackage, key))
    return {*there, store::Store::PathOf(Kind::kPackage, key), {}};
  store::NewEntry made =
      rootfs::PreparePackage(engine.store(), engine.workers(), distribution, python_tag, cancel);
  Package package = {made.info, made.staging.tree_path(), {}};
  package.made.push_back(std::move(made));
  return package;
}

std::optional<store::Lease> MakePackageUnlessThere(store::Store& store, const std::string& key,
                                                   const store::WaitCallback& on_wait,
                                                   const base::CancelToken* cancel) {
  if (store.Find(Kind::kPackage, key)) return std::nullopt;
  return store.Make(Kind::kPackage, key, cancel, on_wait);
}

// A new package and the bytecode that somebody waits for become entries together: one flush of the
// disk for both. Bytecode that a package lacks which was there is not put off: it might never be
// made.
void InstallAndCompile(Engine& engine, const rootfs::Image& image, const Distribution& distribution,
                       Bytecode bytecode, const store::WaitCallback& on_wait,
                       const base::CancelToken* cancel) {
  const BytecodeQueue::Installing installing(engine.bytecode());
  store::Store& store = engine.store();
  const std::string package_key = rootfs::PackageKey(distribution, image.interpreter.tag);
  const std::string lower_key = rootfs::LowerKey(package_key, image.interpreter);
  const store::Lease use = store.Use(Kind::kPackage, package_key);
  std::optional<store::Lease> make_package =
      MakePackageUnlessThere(store, package_key, on_wait, cancel);
  Package package = EnsurePackage(engine, distribution, image.interpreter.tag, cancel);
  if (make_package.has_value() && bytecode == Bytecode::kLater) {
    if (package.made.empty()) return;  // whoever made it sees to that
    store.CommitAll(std::move(package.made));
    return engine.bytecode().Add(image, distribution);
  }
  if (package.made.empty()) make_package.reset();  // other images may compile it meanwhile
  const store::Lease make = store.Make(Kind::kLower, lower_key, cancel, on_wait);
  if (!store.Find(Kind::kLower, lower_key))
    package.made.push_back(CompileLower(engine, image, package.info, package.tree, cancel));
  if (!package.made.empty()) store.CommitAll(std::move(package.made));
}

rootfs::InstalledDistribution FindInstalled(Engine& engine, const Distribution& distribution,
                                            const rootfs::Interpreter& interpreter,
                                            std::vector<store::Lease>& leases) {
  store::Store& store = engine.store();
  const std::string package_key = rootfs::PackageKey(distribution, interpreter.tag);
  const std::string lower_key = rootfs::LowerKey(package_key, interpreter);
  leases.push_back(store.Use(Kind::kPackage, package_key));
  leases.push_back(store.Use(Kind::kLower, lower_key));
  const std::optional<store::EntryInfo> package = store.Find(Kind::kPackage, package_key);
  if (!package.has_value()) {
    throw base::Error(base::Fault::kHost, fmt::format("using `{}`", distribution.Label()))
        .Because("it was removed from the store while it was wanted")
        .Hint("run the command again");
  }
  return {distribution, *package, store.Find(Kind::kLower, lower_key)};
}

ReadyEnvironment Stack(Engine& engine, const rootfs::Image& image, const rootfs::Lock& lock) {
  ReadyEnvironment ready;
  rootfs::EnvironmentParts parts;
  parts.interpreter = image.interpreter;
  parts.venv_key = rootfs::VenvKey(image.interpreter);
  ready.leases.push_back(engine.store().Use(Kind::kSkeleton, parts.venv_key));
  rootfs::EnsureVenv(engine.store(), image.interpreter);
  for (const Distribution& distribution : lock.distributions) {
    parts.distributions.push_back(
        FindInstalled(engine, distribution, image.interpreter, ready.leases));
  }
  parts.preferred = lock.preferred;
  ready.environment = rootfs::Compose(parts);
  ready.warnings = CheckOnce(engine, image, parts, ready.environment.digest);
  return ready;
}

// Whether no package lies in it without its bytecode: that may come later.
bool IsCompiled(const rootfs::Environment& environment) {
  const std::string packages = fmt::format("{}/", store::FolderOf(Kind::kPackage));
  return std::none_of(environment.lowers.begin(), environment.lowers.end(),
                      [&](const std::string& lower) { return lower.starts_with(packages); });
}

}  // namespace

bool IsFlat(const rootfs::Lock& lock) { return lock.distributions.size() > rootfs::kMostStacked; }

bool IsFetched(Engine& engine, const Distribution& distribution) {
  return engine.store().Find(Kind::kWheel, distribution.WheelKey()).has_value();
}

bool IsInstalled(Engine& engine, const Distribution& distribution,
                 const rootfs::Interpreter& interpreter) {
  return engine.store()
             .Find(Kind::kPackage, rootfs::PackageKey(distribution, interpreter.tag))
             .has_value() &&
         engine.store().Find(Kind::kLower, LowerKeyOf(distribution, interpreter)).has_value();
}

std::vector<store::Lease> HoldParts(Engine& engine, const Distribution& distribution,
                                    const rootfs::Interpreter& interpreter) {
  store::Store& store = engine.store();
  std::vector<store::Lease> leases;
  leases.push_back(store.Use(Kind::kWheel, distribution.WheelKey()));
  leases.push_back(store.Use(Kind::kPackage, rootfs::PackageKey(distribution, interpreter.tag)));
  leases.push_back(store.Use(Kind::kLower, LowerKeyOf(distribution, interpreter)));
  return leases;
}

void InstallOne(Engine& engine, const rootfs::Image& image, const Distribution& distribution,
                Bytecode bytecode, EventBus& events, const base::CancelToken* cancel) {
  const std::string task = fmt::format("install {}", distribution.Label());
  Report(events, task, "install", [&](Event&) {
    InstallAndCompile(engine, image, distribution, bytecode, NoteWaiting(events, task, "install"),
                      cancel);
  });
}

ReadyEnvironment ComposeEnvironment(Engine& engine, const rootfs::Image& image,
                                    const rootfs::Lock& lock, const base::CancelToken* cancel) {
  const KeptEnvironment kept(engine, image, lock);
  if (auto ready = kept.Find()) return *std::move(ready);
  ReadyEnvironment ready = Stack(engine, image, lock);
  const bool compiled = IsCompiled(ready.environment);
  std::optional<std::string> flat;
  if (IsFlat(lock)) {
    store::Store& store = engine.store();
    flat = rootfs::FlatKey(ready.environment);
    ready.leases.push_back(store.Use(Kind::kEnvironment, *flat));
    ready.environment = rootfs::Flatten(store, ready.environment, cancel);
  }
  if (compiled) kept.Keep(ready, flat);
  return ready;
}

std::vector<std::string> KnownWarnings(Engine& engine, const rootfs::Image& image,
                                       const rootfs::Lock& lock) {
  if (const auto ready = KeptEnvironment(engine, image, lock).Find()) return ready->warnings;
  const bool installed = std::all_of(
      lock.distributions.begin(), lock.distributions.end(),
      [&](const Distribution& one) { return IsInstalled(engine, one, image.interpreter); });
  if (!installed) return {};
  return Stack(engine, image, lock).warnings;
}

ReadyEnvironment EnsureEnvironment(Engine& engine, const rootfs::Image& image,
                                   const rootfs::Lock& lock, EventBus& events,
                                   const base::CancelToken* cancel) {
  if (auto ready = KeptEnvironment(engine, image, lock).Find()) return *std::move(ready);
  const Bytecode bytecode = IsFlat(lock) ? Bytecode::kNow : Bytecode::kLater;
  WheelFetcher fetcher(engine, events, cancel);
  std::vector<std::vector<store::Lease>> held;
  std::vector<Job> jobs;
  for (const Distribution& distribution : lock.distributions) {
    // What is there, too: it may take minutes until all else is.
    held.push_back(HoldParts(engine, distribution, image.interpreter));
    if (IsInstalled(engine, distribution, image.interpreter)) continue;
    Job install = {
        .run = [&] { InstallOne(engine, image, distribution, bytecode, events, cancel); }};
    if (!IsFetched(engine, distribution)) {
      jobs.push_back({.lane = Lane::kNetwork, .run = [&] { fetcher.Fetch(distribution); }});
      install.needs = {jobs.size() - 1};
    }
    jobs.push_back(std::move(install));
  }
  // One more than there are cores: each of them waits for the disk at its end.
  const JobLimits limits = {.network = WheelFetcher::kMostCallers,
                            .compute = engine.config().cores + 1};
  if (!jobs.empty()) ThrowFirstError(RunJobs(jobs, limits, cancel));
  return ComposeEnvironment(engine, image, lock, cancel);
}

}  // namespace rundlet::engine
