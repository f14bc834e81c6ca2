#include "engine/packages/compiler.h"

#include <utility>

#include "engine/sandbox/image_program.h"

namespace rundlet::engine {

void RunCompiler(Engine& engine, const rootfs::Image& image, rootfs::ProgramCommand command,
                 std::string attempt, store::Staging& staging, const base::CancelToken* cancel) {
  const ProgramEnd end = RunProgram(
      engine,
      {.root = &image, .command = std::move(command), .limits = ForeignLimits{std::move(attempt)}},
      cancel);
  if (!end.Succeeded()) staging = engine.store().NewStaging();
}

}  // namespace rundlet::engine
