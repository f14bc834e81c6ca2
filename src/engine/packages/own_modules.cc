#include "engine/packages/own_modules.h"

#include <fcntl.h>

#include <utility>

#include "base/fs.h"
#include "engine/packages/compiler.h"
#include "engine/sandbox/image_program.h"
#include "rootfs/packages/compiler_protocol.h"
#include "rootfs/packages/own_modules.h"

namespace rundlet::engine {
namespace {

using store::Kind;

void CompileModules(Engine& engine, const rootfs::Image& image, const rootfs::OwnModules& modules,
                    const base::CancelToken* cancel) {
  const store::Staging sources = engine.store().NewStaging();
  rootfs::WriteOwnModules(modules, sources.tree());
  store::Staging staging = engine.store().NewStaging();
  try {
    RunCompiler(engine, image, rootfs::MakeOwnCompileCommand(sources, image.interpreter, staging),
                fmt::format("compiling rundlet's own modules in image `{}`", image.name), staging,
                cancel);
  } catch (const OutOfTime&) {
    staging = engine.store().NewStaging();  // they work without
  }
  rootfs::CommitOwnModules(engine.store(), modules, image.interpreter, std::move(staging));
}

}  // namespace

void AddOwnModules(Engine& engine, const rootfs::Image& image, HandedMounts& handed,
                   const base::CancelToken* cancel) {
  store::Store& store = engine.store();
  const base::UniqueFd folder =
      base::OpenHostPath(engine.installation().python, O_RDONLY | O_DIRECTORY);
  const rootfs::OwnModules modules = rootfs::ReadOwnModules(folder.get());
  const std::string key = rootfs::OwnModulesKey(modules, image.interpreter);
  handed.leases.push_back(store.Use(Kind::kTool, key));
  if (!store.Find(Kind::kTool, key)) {
    const store::Lease make = store.Make(Kind::kTool, key, cancel);
    if (!store.Find(Kind::kTool, key)) CompileModules(engine, image, modules, cancel);
  }
  handed.mounts.push_back(
      {rootfs::kModulesInside, runtime::StorePath{store::Store::PathOf(Kind::kTool, key)}});
}

}  // namespace rundlet::engine
