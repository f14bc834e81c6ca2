// Reading a sandbox's output while it runs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/cancel.h"
#include "base/fd.h"
#include "runtime/launcher.h"

namespace rundlet::engine {

// Called with whole lines, without their newline. A line longer than the limit is given in parts.
using LineCallback = std::function<void(std::string_view)>;

struct OutputSinks {
  LineCallback standard_output = {};
  LineCallback standard_error = {};
  std::function<void(runtime::Sandbox&)> started = {};
  size_t line_limit = 1 << 16;         // bytes
  std::optional<double> timeout = {};  // seconds; then TERM, a grace period, KILL
};

// Starts a sandbox with its output streams on pipes, feeds the sinks from the calling thread until
// both streams end, and waits for the outcome. Both streams end with the sandbox: whatever it
// leaves running is killed with it. Throws Cancelled after everything in the sandbox is gone.
struct CapturedOutcome : runtime::Outcome {
  bool timed_out = false;
};
CapturedOutcome RunCaptured(runtime::Launcher& launcher, runtime::SandboxRequest request,
                            const OutputSinks& sinks, const base::CancelToken* cancel);

// Keeps the last bytes of a stream, for error messages.
class Tail {
 public:
  explicit Tail(size_t limit) : limit_(limit) {}
  void AddLine(std::string_view line);
  const std::string& text() const { return text_; }

 private:
  size_t limit_;
  std::string text_;
};

}  // namespace rundlet::engine
