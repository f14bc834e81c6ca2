#include "engine/images/prober.h"

#include "base/error.h"
#include "base/text.h"
#include "engine/sandbox/image_program.h"
#include "rootfs/images/prober_protocol.h"

namespace rundlet::engine {
namespace {

constexpr size_t kAnswerLimit = 16 << 10;
constexpr size_t kErrorsLimit = 2048;

}  // namespace

rootfs::Interpreter ProbeInterpreter(Engine& engine, const rootfs::Image& image,
                                     const base::CancelToken* cancel) {
  ProgramEnd end;
  try {
    end = RunProgram(
        engine,
        {.root = &image,
         .command = rootfs::MakeProbeCommand(),
         .limits = ForeignLimits{fmt::format("asking python3 of image `{}`", image.name)},
         .output_limit = kAnswerLimit,
         .errors_limit = kErrorsLimit},
        cancel);
  } catch (const runtime::ProgramError&) {
    throw rootfs::NoPython(image, "it has no python3 on its PATH")
        .Hint("use an image that holds Python, such as one made by scripts/python-image");
  }
  if (!end.Succeeded()) {
    throw rootfs::NoPython(
        image, "its python3 fails: " + end.limit.value_or(base::Printable(base::Trim(end.errors))));
  }
  return rootfs::ReadProbeAnswer(image, end.output);
}

}  // namespace rundlet::engine
