#include "engine/own_modules.h"

#include <fcntl.h>

#include <utility>

#include "base/fs.h"
#include "engine/capture.h"
#include "engine/image_sandbox.h"
#include "engine/wanted_limits.h"
#include "rootfs/own_modules.h"

namespace rundlet::engine {
namespace {

using store::Kind;

void CompileModules(Engine& engine, const rootfs::Image& image, const rootfs::OwnModules& modules) {
  const store::Staging sources = engine.store().NewStaging();
  rootfs::WriteOwnModules(modules, sources.tree());
  store::Staging staging = engine.store().NewStaging();
  const rootfs::CompileCommand command =
      rootfs::CompileOwnModules(image.interpreter, sources, staging);
  const ImageSandbox sandbox(engine, image);
  runtime::SandboxSpec spec = sandbox.Spec();
  spec.mounts.mounts.insert(spec.mounts.mounts.end(), command.mounts.begin(), command.mounts.end());
  spec.argv = command.argv;
  LimitForeignCode(engine, spec);
  const runtime::CheckedSpec checked = runtime::CheckSpec(std::move(spec));
  const base::UniqueFd input = base::MemoryFile("compile", command.input);
  const runtime::Outcome outcome =
      RunCaptured(engine.launcher(), {.spec = &checked, .standard_input = input.get()},
                  {.timeout = ForeignTime(engine)}, nullptr);
  // What was cut short may have left half a file, which would be taken for a whole one.
  const bool whole = outcome.end == runtime::Outcome::End::kExited && outcome.code == 0;
  if (!whole) staging = engine.store().NewStaging();
  rootfs::CommitOwnModules(engine.store(), modules, image.interpreter, std::move(staging));
}

}  // namespace

void AddOwnModules(Engine& engine, const rootfs::Image& image, HandedMounts& handed) {
  store::Store& store = engine.store();
  const base::UniqueFd folder =
      base::OpenHostPath(engine.installation().python, O_RDONLY | O_DIRECTORY);
  const rootfs::OwnModules modules = rootfs::ReadOwnModules(folder.get());
  const std::string key = rootfs::OwnModulesKey(modules, image.interpreter);
  handed.leases.push_back(store.Use(Kind::kTool, key));
  if (!store.Find(Kind::kTool, key)) {
    const store::Lease make = store.Make(Kind::kTool, key, nullptr);
    if (!store.Find(Kind::kTool, key)) CompileModules(engine, image, modules);
  }
  handed.mounts.push_back(
      {"/rundlet/python", runtime::StorePath{store::Store::PathOf(Kind::kTool, key)}});
}

}  // namespace rundlet::engine
