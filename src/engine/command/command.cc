#include "engine/command/command.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "engine/locks/resolver.h"
#include "engine/sandbox/sandbox_network.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

// Without a name, the only one whose Python will do.
rootfs::Image ChooseImage(Engine& engine, const std::string& name,
                          const std::string& requires_python) {
  if (!name.empty()) return rootfs::FindImage(engine.store(), name);
  std::vector<rootfs::Image> images = rootfs::ListImages(engine.store());
  if (images.size() > 1) {
    std::erase_if(images, [&](const rootfs::Image& image) {
      return !rootfs::PythonIsWithin(image.interpreter.version, requires_python);
    });
  }
  if (images.size() == 1) return images.front();
  const std::string of_python =
      requires_python.empty() ? "" : " with Python " + base::Printable(requires_python);
  throw Error(Fault::kInvalid, "choosing an image")
      .Because(images.empty() ? std::string("there is none") + of_python
                              : fmt::format("there are {}{}", images.size(), of_python))
      .Hint(images.empty() ? "import one with `rundlet image import NAME PATH`"
                           : "name one with --image");
}

// Places that are the sandbox's own: a mount there would replace what isolates it.
void CheckTarget(const std::string& target) {
  for (const char* reserved : {"/proc", "/sys", "/dev", "/env", "/rundlet"}) {
    const std::string below = std::string(reserved) + "/";
    if (target != reserved && !target.starts_with(below)) continue;
    throw Error(Fault::kInvalid, fmt::format("mounting at `{}`", target))
        .Because(fmt::format("`{}` belongs to the sandbox", reserved));
  }
}

// Without the overlay there is nothing to write to, and PYTHONPATH is taken.
void CheckComposition(const CommandRequest& request) {
  if (request.composition == Composition::kOverlay) return;
  const auto refuse = [](const char* attempt, const char* cause) {
    throw Error(Fault::kInvalid, attempt).Because(cause).Hint("leave out --composition");
  };
  if (request.writable_environment)
    refuse("making /env writable", "packages are not put together there");
  for (const auto& [name, value] : request.environment) {
    if (name == "PYTHONPATH") refuse("setting `PYTHONPATH`", "it says where the packages are");
  }
}

// What its user wrote is refused before anything is resolved, installed or started for it.
void CheckRequest(const CommandRequest& request) {
  CheckComposition(request);
  runtime::SandboxSpec spec;
  spec.mounts.mounts.push_back({"/", runtime::Skeleton{}});
  for (const UserMount& mount : request.mounts) {
    CheckTarget(mount.target);
    spec.mounts.mounts.push_back({mount.target, runtime::HandedMount{}});
  }
  spec.argv = request.command.empty() ? std::vector<std::string>{"python"} : request.command;
  spec.environment = request.environment;
  if (!request.cwd.empty()) spec.cwd = request.cwd;
  runtime::CheckSpec(std::move(spec));
}

// A scratch home or /tmp is mounted first; what the user asked for lies on top of it.
void AddUserMounts(runtime::SandboxSpec& spec, HandedMounts& handed,
                   const std::vector<UserMount>& mounts) {
  for (const UserMount& mount : mounts)
    handed.Add(mount.source.get(), mount.target, mount.writable);
  spec.mounts.mounts.insert(spec.mounts.mounts.end(), handed.mounts.begin(), handed.mounts.end());
}

// Its files belong to root: so must who writes there, root of the sandbox's own user namespace.
void MakeEnvironmentWritable(runtime::SandboxSpec& spec) {
  auto& layers = std::get<runtime::Layers>(spec.mounts.mounts.back().source);
  layers.idmapped = true;
  layers.writable = true;
  spec.uid = 0;
  spec.gid = 0;
}

runtime::GroupUse GroupsOf(const WantedLimits& limits) {
  const bool limited =
      limits.memory.has_value() || limits.cpus.has_value() || limits.pids.has_value();
  return limited ? runtime::GroupUse::kAll : runtime::GroupUse::kLimited;
}

std::string ScriptInside(const Script& script) { return "/rundlet/script/" + script.name; }

std::string PythonOf(const ReadyEnvironment& ready, const rootfs::Image& image) {
  return ready.environment.lowers.empty() ? image.interpreter.executable : "/env/bin/python";
}

}  // namespace

Command PrepareCommand(Engine& engine, CommandRequest request, EventBus& events,
                       const base::CancelToken* cancel) {
  CheckRequest(request);
  engine.launcher().Prepare(engine.config().ids, GroupsOf(request.limits));
  CheckLimits(engine, request.limits, "this command");
  rootfs::ScriptMetadata metadata;
  if (request.script.has_value()) {
    metadata = ReadScript(engine, *request.script, cancel);
    auto& texts = request.requirements.texts;
    texts.insert(texts.end(), metadata.dependencies.begin(), metadata.dependencies.end());
  }
  const rootfs::Image image = ChooseImage(engine, request.image, metadata.requires_python);
  if (request.script.has_value()) CheckPython(*request.script, metadata, image);
  Command command = {.image = ImageSandbox(engine, image)};
  command.spec = command.image.Spec(runtime::ProcView::kFull);
  runtime::SandboxSpec& spec = command.spec;
  ReadyEnvironment& ready = command.environment;
  if (!request.requirements.texts.empty()) {
    const Freshness freshness = request.upgrade ? Freshness::kUpgrade : Freshness::kKept;
    const Resolution resolution =
        Resolve(engine, image, GatherRequirements(engine, request.requirements, cancel), freshness,
                "this command", events, cancel);
    ready = EnsureEnvironment(engine, image, resolution.lock, events, cancel);
    for (const std::string& warning : ready.warnings) {
      events.Send({.kind = EventKind::kNote, .task = "this command", .text = warning});
    }
    if (request.composition == Composition::kBinds)
      UseEnvironment(spec, rootfs::BindEnvironment(ready.environment, image.interpreter));
    else
      UseEnvironment(spec, rootfs::EnvironmentMount(ready.environment));
    if (request.writable_environment) MakeEnvironmentWritable(spec);
  }
  ApplyLimits(request.limits, spec);
  ApplyNetwork(engine, request.network, spec, command.handed);
  command.network = std::move(request.network);
  command.limits = request.limits;
  if (request.script.has_value())
    command.handed.Add(request.script->file.get(), ScriptInside(*request.script));
  AddUserMounts(spec, command.handed, request.mounts);
  for (auto& [name, value] : request.environment) SetVariable(spec, name, std::move(value));
  spec.argv = std::move(request.command);
  // `command` begins with the script's path on the host.
  if (request.script.has_value()) spec.argv.front() = ScriptInside(*request.script);
  if (request.script.has_value() || spec.argv.empty())
    spec.argv.insert(spec.argv.begin(), PythonOf(ready, image));
  spec.cwd = request.cwd.empty() ? rootfs::StartDirectory(image.config) : request.cwd;
  return command;
}

}  // namespace rundlet::engine
