#include "engine/packages/compiler.h"

#include <utility>

#include "base/fs.h"
#include "engine/sandbox/image_sandbox.h"
#include "engine/sandbox/wanted_limits.h"

namespace rundlet::engine {

CapturedOutcome RunCompiler(Engine& engine, const rootfs::Image& image,
                            const rootfs::CompileCommand& command, store::Staging& staging,
                            const base::CancelToken* cancel) {
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
  const bool whole = outcome.end == runtime::Outcome::End::kExited && outcome.code == 0;
  if (!whole) staging = engine.store().NewStaging();
  return outcome;
}

}  // namespace rundlet::engine
