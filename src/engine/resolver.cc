#include "engine/resolver.h"

#include <fcntl.h>
#include <sys/utsname.h>

#include <ctime>
#include <set>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "engine/capture.h"
#include "engine/host_files.h"
#include "engine/image_sandbox.h"
#include "engine/network.h"
#include "rootfs/resolve.h"
#include "rootfs/tool.h"

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

std::vector<rootfs::Requirement> ParseAll(const std::vector<std::string>& texts) {
  std::vector<rootfs::Requirement> requirements;
  for (const std::string& text : texts) requirements.push_back(rootfs::ParseRequirement(text));
  return requirements;
}

std::optional<rootfs::Lock> FindLock(Engine& engine, const std::string& path) {
  const std::optional<base::UniqueFd> file = base::TryOpenAt(engine.store().dir(), path, O_RDONLY);
  if (!file.has_value()) return std::nullopt;
  return rootfs::DecodeLock(base::ReadFd(file->get(), kLockLimit, fmt::format("`{}`", path)));
}

// uv in the image, with the host's network, as root of its own user namespace and without a
// capability.
std::string RunUv(Engine& engine, const rootfs::Image& image, const rootfs::ResolveCommand& command,
                  const store::EntryInfo& uv, const base::CancelToken* cancel) {
  const std::string cache = "cache/uv/" + image.interpreter.identity.hex();
  base::MakeDirs(engine.store().dir(), cache, 0700);
  const ImageSandbox sandbox(engine, image);
  runtime::SandboxSpec spec = sandbox.Spec();
  HandedMounts handed;
  AddNetworkFiles(handed, engine.config());
  auto& mounts = spec.mounts.mounts;
  mounts.push_back({"/env", runtime::StorePath{store::Store::PathOf(store::Kind::kTool, uv.key)}});
  mounts.push_back({"/out", runtime::StorePath{cache, true, true}});
  mounts.insert(mounts.end(), handed.mounts.begin(), handed.mounts.end());
  spec.argv = command.argv;
  spec.environment = command.environment;
  spec.uid = 0;
  spec.gid = 0;
  spec.network = runtime::Network::kHost;
  const runtime::CheckedSpec checked = runtime::CheckSpec(std::move(spec));

  const base::UniqueFd input = base::MemoryFile("requirements", command.input);
  std::string output;
  Tail errors(kErrorTail);
  const auto keep = [&output](std::string_view line) {
    if (output.size() < kLockLimit) output.append(line).append("\n");
  };
  const runtime::Outcome outcome =
      RunCaptured(engine.launcher(),
                  {.spec = &checked, .standard_input = input.get(), .mounts = handed.numbers()},
                  {.standard_output = keep,
                   .standard_error = [&](std::string_view line) { errors.AddLine(line); }},
                  cancel);
  if (outcome.end != runtime::Outcome::End::kExited || outcome.code != 0) {
    throw rootfs::ExplainResolveFailure(errors.text());
  }
  return output;
}

rootfs::Lock ResolveWithUv(Engine& engine, const rootfs::Image& image,
                           const std::vector<rootfs::Requirement>& requirements,
                           const base::CancelToken* cancel) {
  const Network network(engine.config(), engine.config().index_url);
  const store::EntryInfo uv = rootfs::EnsureUv(
      engine.store(), engine.workers(), engine.config().index_url, network.settings(), cancel);
  const store::Lease lease = engine.store().Use(store::Kind::kTool, uv.key);
  const rootfs::ResolveCommand command = rootfs::MakeResolveCommand({
      .requirements = requirements,
      .python = image.interpreter.executable,
      .index = engine.config().index_url,
      .ca_bundle = kBundleInside,
      .proxy = engine.config().proxy_https,
      .no_proxy = engine.config().no_proxy,
  });
  return rootfs::ParseLock(engine.workers(), RunUv(engine, image, command, uv, cancel),
                           std::time(nullptr), cancel);
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

Resolution Resolve(Engine& engine, const rootfs::Image& image,
                   const std::vector<std::string>& texts, Freshness freshness,
                   const std::string& label, EventBus& events, const base::CancelToken* cancel) {
  const std::vector<rootfs::Requirement> requirements = ParseAll(texts);
  const base::Digest key = rootfs::LockInputsKey({.requirements = requirements,
                                                  .interpreter = image.interpreter,
                                                  .machine = Machine(),
                                                  .index = engine.config().index_url});
  const std::string path = fmt::format("locks/{}.json", key.hex());
  if (freshness == Freshness::kKept) {
    if (std::optional<rootfs::Lock> kept = FindLock(engine, path)) return {*std::move(kept), true};
  }
  Resolution resolution;
  Report(events, label, "resolve", [&](Event& finished) {
    try {
      resolution.lock = ResolveWithUv(engine, image, requirements, cancel);
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
  return resolution;
}

Resolution ResolveShipped(Engine& engine, const rootfs::Image& image, const std::string& name,
                          EventBus& events, const base::CancelToken* cancel) {
  const Pins pins = ReadPins(fmt::format("{}/engine/{}", engine.installation().python, name));
  Resolution resolution = Resolve(engine, image, pins.requirements, Freshness::kKept,
                                  "rundlet's own steps", events, cancel);
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
