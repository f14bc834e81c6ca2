#include "cli/finish_bytecode.h"

#include <cstdio>
#include <string>

#include "base/error.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "engine/bytecode.h"

namespace rundlet::cli {

void FinishBytecode(engine::Engine& engine, const Options& options) {
  std::fflush(stdout);
  Progress progress(options);
  engine::EventBus events(progress.Sink());
  if (const size_t left = engine.bytecode().left(); left > 0) {
    try {
      const std::string task =
          fmt::format("compile {} {}", left, left == 1 ? "package" : "packages");
      engine::Report(events, task, "compile",
                     [&](engine::Event&) { engine.bytecode().Wait(&Interrupted()); });
    } catch (const base::Cancelled&) {
      return;
    }
  }
  for (const std::string& failure : engine.bytecode().TakeFailures())
    events.Send({.kind = engine::EventKind::kNote, .task = "bytecode", .text = failure});
}

}  // namespace rundlet::cli
