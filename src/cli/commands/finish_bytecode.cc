#include "cli/commands/finish_bytecode.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/output.h"
#include "cli/terminal/progress.h"
#include "engine/packages/bytecode.h"

namespace rundlet::cli {

void FinishBytecode(engine::Engine& engine, const Options& options) {
  FlushOutput();
  const size_t left = engine.bytecode().left();
  std::vector<std::string> failures = engine.bytecode().TakeFailures();
  if (left == 0 && failures.empty()) return;
  Progress progress(options);
  engine::EventBus events(progress.Sink());
  if (left > 0) {
    try {
      const std::string task =
          fmt::format("compile {} {}", left, left == 1 ? "package" : "packages");
      engine::Report(events, task, "compile",
                     [&](engine::Event&) { engine.bytecode().Wait(&Interrupted()); });
    } catch (const base::Cancelled&) {
      // What is not made is made when it is wanted again.
    }
  }
  const std::vector<std::string> later = engine.bytecode().TakeFailures();
  failures.insert(failures.end(), later.begin(), later.end());
  for (const std::string& failure : failures)
    events.Send({.kind = engine::EventKind::kNote, .task = "bytecode", .text = failure});
}

}  // namespace rundlet::cli
