#include "engine/locks/resolver.h"

#include <fcntl.h>
#include <sys/utsname.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "engine/core/index_access.h"
#include "engine/core/network.h"
#include "engine/locks/builder.h"
#include "engine/locks/uv_cache.h"
#include "engine/packages/environments.h"
#include "engine/sandbox/image_program.h"
#include "rootfs/net/named_wheel.h"
#include "rootfs/packages/tool.h"
#include "rootfs/requirements/resolver_protocol.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

constexpr size_t kLockLimit = 16 << 20;
constexpr size_t kErrorTail = 64 << 10;

std::string Machine() {
  utsname name;
  if (uname(&name) < 0) base::ThrowErrno("asking for this machine's architecture");
  return name.machine;
}

std::optional<rootfs::Lock> FindLock(Engine& engine, const std::string& path) {
  const std::optional<base::UniqueFd> file = base::TryOpenAt(engine.store().dir(), path, O_RDONLY);
  if (!file.has_value()) return std::nullopt;
  return rootfs::DecodeLock(base::ReadFd(file->get(), kLockLimit, fmt::format("`{}`", path)));
}

// For gc, which removes what was not used for long. Nothing depends on it.
void NoteUse(Engine& engine, const std::string& path) {
  utimensat(engine.store().dir(), path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

// Wheels that requirements name themselves, in the store, and what holds them there.
struct NamedWheels {
  std::vector<rootfs::Distribution> distributions;
  std::vector<store::Lease> leases;

  void Add(rootfs::NamedWheel wheel) {
    distributions.push_back(std::move(wheel.distribution));
    leases.push_back(std::move(wheel.lease));
  }
};

// Files that their user gave go into the store; from there on they are known by their content.
void TakeGivenWheels(Engine& engine, const std::vector<GivenWheel>& given,
                     rootfs::RequirementSet& set, NamedWheels& named,
                     const base::CancelToken* cancel) {
  for (const GivenWheel& one : given) {
    rootfs::NamedWheel wheel =
        rootfs::TakeWheel(engine.store(), one.file.get(), one.path, {}, cancel);
    for (auto* list : {&set.requirements, &set.constraints}) {
      for (rootfs::Requirement& requirement : *list) {
        if (requirement.path != one.path) continue;
        if (requirement.sha256.value_or(wheel.distribution.sha256) != wheel.distribution.sha256) {
          throw Error(Fault::kInvalid, fmt::format("using `{}`", base::Printable(one.path)))
              .Because("its sha256 is not the one that is asked for");
        }
        requirement.sha256 = wheel.distribution.sha256;
      }
    }
    named.Add(std::move(wheel));
  }
}

void FetchNamedWheels(Engine& engine, rootfs::RequirementSet& set,
                      const rootfs::NetworkSettings& network, NamedWheels& named,
                      const base::CancelToken* cancel) {
  for (auto* list : {&set.requirements, &set.constraints}) {
    for (rootfs::Requirement& requirement : *list) {
      if (requirement.url.empty() || requirement.IsSource()) continue;
      rootfs::NamedWheel wheel = rootfs::FetchByUrl(
          engine.store(), engine.workers(), requirement.url, requirement.sha256, network, cancel);
      requirement.sha256 = wheel.distribution.sha256;
      named.Add(std::move(wheel));
    }
  }
}

struct UvOutput {
  bool succeeded = false;
  std::string lock;
  std::string talk;
  std::optional<Error> refused;  // what an index answered
};

// What a run of uv sees beside the image.
struct UvInputs {
  const store::EntryInfo* uv = nullptr;
  const NamedWheels* wheels = nullptr;
  const IndexAccesses* indexes = nullptr;
};

std::string WheelFolder(size_t index) { return fmt::format("/rundlet/wheels/{}", index); }

// uv in the image, with the gate to the indexes for a network, as root of its own user namespace
// and without a capability.
UvOutput RunUv(Engine& engine, const rootfs::Image& image, rootfs::ResolveCommand command,
               const UvInputs& inputs, const base::CancelToken* cancel) {
  const UvCache cache(engine, image.interpreter.identity, inputs.indexes->realms());
  const store::Staging files = engine.store().NewStaging();
  auto& mounts = command.mounts;
  mounts.push_back(
      {"/env", runtime::StorePath{store::Store::PathOf(store::Kind::kTool, inputs.uv->key)}});
  mounts.push_back({"/out", runtime::StorePath{cache.folder(), true, true}});
  for (size_t i = 0; i < inputs.wheels->distributions.size(); ++i) {
    const std::string key = inputs.wheels->distributions[i].WheelKey();
    mounts.push_back(
        {WheelFolder(i), runtime::StorePath{store::Store::PathOf(store::Kind::kWheel, key)}});
  }
  for (const auto& [name, text] : command.files) {
    const base::UniqueFd file = base::OpenAt(files.tree(), name, O_WRONLY | O_CREAT | O_EXCL, 0444);
    base::WriteFd(file.get(), text, name);
  }
  if (!command.files.empty())
    mounts.push_back({rootfs::kResolveInside, runtime::StorePath{files.tree_path()}});
  const IndexGate gate(engine, *inputs.indexes);
  const ProgramEnd end =
      RunProgram(engine,
                 {.root = &image,
                  .command = std::move(command),
                  .limits = ForeignLimits{fmt::format("running uv in image `{}`", image.name)},
                  .user = 0,
                  .network = &gate,
                  .output_limit = kLockLimit,
                  .errors_limit = kErrorTail},
                 cancel);
  return {end.Succeeded(), rootfs::WithoutGate(end.output, gate.addresses()),
          rootfs::WithoutGate(end.errors, gate.addresses()), gate.Failure()};
}

// Where uv finds the named wheels, under the names they were first brought by.
std::map<base::Digest, std::string> PathsInside(Engine& engine, const NamedWheels& named) {
  std::map<base::Digest, std::string> paths;
  for (size_t i = 0; i < named.distributions.size(); ++i) {
    const rootfs::Distribution& one = named.distributions[i];
    const auto entry = engine.store().Find(store::Kind::kWheel, one.WheelKey());
    RUNDLET_CHECK(entry.has_value());  // under our lease
    paths.emplace(one.sha256, WheelFolder(i) + "/" + rootfs::WheelFile(*entry));
  }
  return paths;
}

void BuildNamedWheels(Engine& engine, const rootfs::Image& image, rootfs::RequirementSet& set,
                      const IndexAccesses& indexes, NamedWheels& named, EventBus& events,
                      const base::CancelToken* cancel) {
  for (rootfs::Requirement& requirement : set.requirements) {
    const bool built = std::binary_search(set.built.begin(), set.built.end(), requirement.name);
    if (!built || (requirement.sha256.has_value() && !requirement.IsSource())) continue;
    rootfs::NamedWheel wheel = BuildFromSource(engine, image, requirement, set,
                                               indexes.Of(requirement.name), events, cancel);
    requirement.sha256 = wheel.distribution.sha256;
    requirement.specifier.clear();
    requirement.url.clear();
    named.Add(std::move(wheel));
  }
}

// A wheel that was built can only be had by building it again.
bool LacksBuiltWheel(Engine& engine, const rootfs::Lock& lock, const rootfs::RequirementSet& set,
                     const rootfs::Interpreter& interpreter) {
  return std::any_of(
      lock.distributions.begin(), lock.distributions.end(), [&](const auto& distribution) {
        return std::binary_search(set.built.begin(), set.built.end(), distribution.name) &&
               !IsFetched(engine, distribution) && !IsInstalled(engine, distribution, interpreter);
      });
}

// Those have their realm from where they came from.
bool IsNamed(const NamedWheels& named, const rootfs::Distribution& distribution) {
  return std::any_of(named.distributions.begin(), named.distributions.end(),
                     [&](const auto& one) { return one.sha256 == distribution.sha256; });
}

rootfs::Lock ResolveWithUv(Engine& engine, const rootfs::Image& image, rootfs::RequirementSet set,
                           const IndexAccesses& indexes, NamedWheels named, EventBus& events,
                           const base::CancelToken* cancel) {
  RequireNetwork(engine.config(), "asking the package index");
  const Network network(engine.config(), engine.config().index_url);
  Network with_login(engine.config(), engine.config().index_url);
  with_login.Present(indexes.all().front().login);
  const store::Lease lease = engine.store().Use(store::Kind::kTool, rootfs::UvKey());
  const store::EntryInfo uv = rootfs::EnsureUv(
      engine.store(), engine.workers(), engine.config().index_url, with_login.settings(), cancel);
  FetchNamedWheels(engine, set, network.settings(), named, cancel);
  BuildNamedWheels(engine, image, set, indexes, named, events, cancel);
  rootfs::ResolveRequest request = {
      .set = set,
      .wheels = PathsInside(engine, named),
      .python = image.interpreter.executable,
      .index = rootfs::GateIndexUrl(rootfs::GateId(indexes.all().front().id)),
  };
  for (size_t i = 0; i < set.indexes.size(); ++i)
    request.set.indexes[i].url = rootfs::GateIndexUrl(rootfs::GateId(indexes.all()[i + 1].id));
  const rootfs::WheelChoice choice = {.named = named.distributions, .hashes = set.hashes};
  // uv takes a package from an index of its own only when it is asked for by name. Whatever pinned
  // package turns out to be part of the answer is asked for too, until none is left: each time at
  // least one more.
  while (true) {
    const UvOutput output = RunUv(engine, image, rootfs::MakeResolveCommand(request),
                                  {.uv = &uv, .wheels = &named, .indexes = &indexes}, cancel);
    rootfs::Lock lock;
    std::set<std::string> pinned;
    if (output.succeeded) {
      lock = rootfs::ParseLock(engine.workers(), output.lock, choice, cancel);
      pinned = rootfs::PinnedAmong(set, lock);
    } else {
      pinned = rootfs::PinnedAmong(set, output.talk);
    }
    const size_t before = request.pinned.size();
    request.pinned.merge(pinned);
    if (request.pinned.size() != before) continue;
    if (!output.succeeded)
      throw output.refused.value_or(rootfs::ExplainResolveFailure(output.talk));
    for (rootfs::Distribution& one : lock.distributions) {
      if (!IsNamed(named, one)) one.realm = indexes.Of(one.name).realm();
    }
    lock.resolved_at = std::time(nullptr);
    lock.warnings = rootfs::ReadResolveWarnings(output.talk);
    return lock;
  }
}

struct Pins {
  std::vector<std::string> requirements;
  std::set<base::Digest> hashes;
};

// "name==version \" and "--hash=sha256:..." lines, as uv and pip write them; the file ships with
// rundlet.
Pins ReadPins(const std::string& path) {
  const base::UniqueFd file = base::OpenHostPath(path, O_RDONLY);
  Pins pins;
  for (const std::string& raw : base::Split(base::ReadFd(file.get(), 1 << 20, path), '\n')) {
    std::string_view line = base::Trim(raw);
    if (line.ends_with('\\')) line = base::Trim(line.substr(0, line.size() - 1));
    if (line.empty() || line.starts_with('#')) continue;
    constexpr std::string_view kHash = "--hash=";
    if (!line.starts_with(kHash)) {
      pins.requirements.emplace_back(line);
      continue;
    }
    const auto digest = base::Digest::Parse(line.substr(kHash.size()));
    RUNDLET_CHECK(digest.has_value());
    pins.hashes.insert(*digest);
  }
  return pins;
}

}  // namespace

Resolution Resolve(Engine& engine, const rootfs::Image& image, const Requirements& requirements,
                   Freshness freshness, const std::string& label, EventBus& events,
                   const base::CancelToken* cancel) {
  rootfs::RequirementSet set = requirements.set;
  NamedWheels named;
  TakeGivenWheels(engine, requirements.wheels, set, named, cancel);
  const IndexAccesses indexes(engine, set);
  const base::Digest key = rootfs::LockInputsKey({.set = set,
                                                  .interpreter = image.interpreter.identity,
                                                  .machine = Machine(),
                                                  .index = engine.config().index_url,
                                                  .realms = indexes.realms()});
  const std::string path = fmt::format("locks/{}.json", key.hex());
  Resolution resolution;
  std::optional<rootfs::Lock> kept;
  if (freshness == Freshness::kKept) kept = FindLock(engine, path);
  if (kept.has_value() && LacksBuiltWheel(engine, *kept, set, image.interpreter)) kept.reset();
  if (kept.has_value()) {
    NoteUse(engine, path);
    resolution = {*std::move(kept), true};
  } else {
    Report(events, label, "resolve", [&](Event& finished) {
      try {
        resolution.lock =
            ResolveWithUv(engine, image, set, indexes, std::move(named), events, cancel);
      } catch (base::Cancelled&) {
        throw;
      } catch (Error& error) {
        error.While(fmt::format("resolving the packages of {} for Python {}", label,
                                image.interpreter.version));
        throw;
      }
      finished.text = fmt::format("{} packages", resolution.lock.distributions.size());
    });
    base::MakeDirs(engine.store().dir(), "locks", 0700);
    base::ReplaceAt(engine.store().dir(), path, rootfs::EncodeLock(resolution.lock), 0600,
                    base::Durability::kSynced);
  }
  for (const std::string& warning : resolution.lock.warnings)
    events.Send({.kind = EventKind::kNote, .task = label, .text = warning});
  resolution.lock.preferred = set.preferred;
  return resolution;
}

std::vector<rootfs::Lock> ListLocks(Engine& engine) {
  std::vector<rootfs::Lock> locks;
  if (!base::ExistsAt(engine.store().dir(), "locks")) return locks;
  const base::UniqueFd dir = base::OpenAt(engine.store().dir(), "locks", O_RDONLY | O_DIRECTORY);
  for (const base::DirEntry& entry : base::ListDir(dir.get())) {
    if (!entry.name.ends_with(".json")) continue;
    try {
      if (auto lock = FindLock(engine, "locks/" + entry.name)) locks.push_back(*std::move(lock));
    } catch (const Error&) {
      continue;
    }
  }
  return locks;
}

Resolution ResolveShipped(Engine& engine, const rootfs::Image& image, const std::string& name,
                          EventBus& events, const base::CancelToken* cancel) {
  const Pins pins = ReadPins(fmt::format("{}/engine/{}", engine.installation().python, name));
  Resolution resolution = Resolve(engine, image, {rootfs::ParseRequirements(pins.requirements), {}},
                                  Freshness::kKept, "rundlet's own steps", events, cancel);
  for (const rootfs::Distribution& distribution : resolution.lock.distributions) {
    if (pins.hashes.contains(distribution.sha256)) continue;
    throw Error(Fault::kInvalid,
                fmt::format("using `{}` for rundlet's own steps", distribution.Label()))
        .Because(fmt::format(
            "the package index offers `{}` with another content than rundlet was built with",
            distribution.filename))
        .Hint("check the package index that RUNDLET_INDEX names");
  }
  return resolution;
}

}  // namespace rundlet::engine
