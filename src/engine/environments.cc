#include "engine/environments.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "engine/capture.h"
#include "engine/environment_check.h"
#include "engine/image_sandbox.h"
#include "engine/index_access.h"
#include "engine/jobs.h"
#include "engine/network.h"
#include "engine/wanted_limits.h"
#include "rootfs/bytecode.h"
#include "rootfs/fetch.h"
#include "rootfs/flat_tree.h"
#include "rootfs/package.h"
#include "rootfs/venv.h"

namespace rundlet::engine {
namespace {

using rootfs::Distribution;
using store::Kind;

std::string LowerKeyOf(const Distribution& distribution, const rootfs::Interpreter& interpreter) {
  return rootfs::LowerKey(rootfs::PackageKey(distribution, interpreter.tag), interpreter);
}

// The image's own interpreter compiles; what it writes reaches only sandboxes with that very
// interpreter.
void CompileLower(Engine& engine, const rootfs::Image& image, const store::EntryInfo& package,
                  const base::CancelToken* cancel) {
  store::Staging staging = engine.store().NewStaging();
  const rootfs::CompileCommand command =
      rootfs::MakeCompileCommand(package, image.interpreter, staging);
  const ImageSandbox sandbox(engine, image);
  runtime::SandboxSpec spec = sandbox.Spec();
  spec.mounts.mounts.insert(spec.mounts.mounts.end(), command.mounts.begin(), command.mounts.end());
  spec.argv = command.argv;
  LimitForeignCode(engine, spec);
  const runtime::CheckedSpec checked = runtime::CheckSpec(std::move(spec));
  const base::UniqueFd input = base::MemoryFile("compile", command.input);
  const CapturedOutcome outcome =
      RunCaptured(engine.launcher(), {.spec = &checked, .standard_input = input.get()},
                  {.timeout = ForeignTime(engine)}, cancel);
  RequireInTime(engine, outcome,
                fmt::format("compiling `{}` in image `{}`", package.name, image.name));
  rootfs::CommitLower(engine.store(), package, image.interpreter, std::move(staging));
}

// Two processes, or two steps, want the same: one makes it, and the other sees how far it is.
store::WaitCallback NoteWaiting(EventBus& events, const std::string& task,
                                const std::string& phase) {
  return [&events, task, phase, noted = false](const store::MakerProgress& progress) mutable {
    if (!noted) {
      events.Send(
          {.kind = EventKind::kNote, .task = task, .text = "waiting: another run is at it"});
    }
    noted = true;
    if (progress.total == 0) return;
    events.Send({.kind = EventKind::kProgress,
                 .task = task,
                 .phase = phase,
                 .done = progress.done,
                 .total = progress.total});
  };
}

void MakeLower(Engine& engine, const rootfs::Image& image, const Distribution& distribution,
               const store::WaitCallback& on_wait, const base::CancelToken* cancel) {
  store::Store& store = engine.store();
  const std::string key = LowerKeyOf(distribution, image.interpreter);
  const store::Lease package_lease =
      store.Use(Kind::kPackage, rootfs::PackageKey(distribution, image.interpreter.tag));
  const store::EntryInfo package = rootfs::InstallPackage(store, engine.workers(), distribution,
                                                          image.interpreter.tag, cancel, on_wait);
  const store::Lease make = store.Make(Kind::kLower, key, cancel, on_wait);
  if (store.Find(Kind::kLower, key).has_value()) return;
  CompileLower(engine, image, package, cancel);
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
  parts.venv_key = rootfs::EnsureVenv(engine.store(), image.interpreter);
  ready.leases.push_back(engine.store().Use(Kind::kSkeleton, parts.venv_key));
  for (const Distribution& distribution : lock.distributions) {
    parts.distributions.push_back(
        FindInstalled(engine, distribution, image.interpreter, ready.leases));
  }
  parts.preferred = lock.preferred;
  ready.environment = rootfs::Compose(parts);
  ready.warnings = CheckOnce(engine, image, parts, ready.environment.digest);
  return ready;
}

}  // namespace

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

void FetchOne(Engine& engine, const Distribution& distribution, EventBus& events,
              const base::CancelToken* cancel) {
  const std::string task = fmt::format("fetch {}", distribution.Label());
  Report(events, task, "fetch", [&](Event& finished) {
    Network network(engine.config(), engine.config().index_url);
    if (distribution.realm.has_value())
      network.Present(AccessTo(engine, distribution.realm->index).login);
    const store::Lease lease = engine.store().Use(Kind::kWheel, distribution.WheelKey());
    rootfs::FetchWheels(
        engine.store(), engine.workers(), {distribution}, network.settings(),
        [&](const rootfs::WorkerProgress& progress) {
          events.Send({.kind = EventKind::kProgress,
                       .task = task,
                       .phase = "fetch",
                       .done = progress.done,
                       .total = progress.total != 0 ? progress.total : distribution.size});
        },
        cancel, NoteWaiting(events, task, "fetch"));
    finished.done = finished.total = distribution.size;
  });
}

void InstallOne(Engine& engine, const rootfs::Image& image, const Distribution& distribution,
                EventBus& events, const base::CancelToken* cancel) {
  const std::string task = fmt::format("install {}", distribution.Label());
  Report(events, task, "install", [&](Event&) {
    MakeLower(engine, image, distribution, NoteWaiting(events, task, "install"), cancel);
  });
}

ReadyEnvironment ComposeEnvironment(Engine& engine, const rootfs::Image& image,
                                    const rootfs::Lock& lock, const base::CancelToken* cancel) {
  ReadyEnvironment ready = Stack(engine, image, lock);
  if (lock.distributions.size() <= rootfs::kMostStacked) return ready;
  store::Store& store = engine.store();
  ready.leases.push_back(store.Use(Kind::kEnvironment, rootfs::FlatKey(ready.environment)));
  ready.environment = rootfs::Flatten(store, ready.environment, cancel);
  return ready;
}

std::vector<std::string> KnownWarnings(Engine& engine, const rootfs::Image& image,
                                       const rootfs::Lock& lock) {
  const bool installed = std::all_of(
      lock.distributions.begin(), lock.distributions.end(),
      [&](const Distribution& one) { return IsInstalled(engine, one, image.interpreter); });
  if (!installed) return {};
  return Stack(engine, image, lock).warnings;
}

ReadyEnvironment EnsureEnvironment(Engine& engine, const rootfs::Image& image,
                                   const rootfs::Lock& lock, EventBus& events,
                                   const base::CancelToken* cancel) {
  std::vector<Job> jobs;
  for (const Distribution& distribution : lock.distributions) {
    if (IsInstalled(engine, distribution, image.interpreter)) continue;
    Job install = {.run = [&] { InstallOne(engine, image, distribution, events, cancel); }};
    if (!IsFetched(engine, distribution)) {
      jobs.push_back(
          {.lane = Lane::kNetwork, .run = [&] { FetchOne(engine, distribution, events, cancel); }});
      install.needs = {jobs.size() - 1};
    }
    jobs.push_back(std::move(install));
  }
  // One more than there are cores: each of them waits for the disk at its end.
  if (!jobs.empty()) ThrowFirstError(RunJobs(jobs, {.compute = engine.config().cores + 1}, cancel));
  return ComposeEnvironment(engine, image, lock, cancel);
}

}  // namespace rundlet::engine
