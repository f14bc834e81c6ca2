// Programs that rundlet runs for an answer: Python and uv in an image, git of the host. What runs
// is the code of others, so there is one way to run it, and it has limits whatever a caller says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/cancel.h"
#include "base/error.h"
#include "engine/core/capture.h"
#include "engine/core/engine.h"
#include "engine/core/host_files.h"
#include "engine/core/index_access.h"
#include "plans/network.h"
#include "rootfs/images/image.h"
#include "rootfs/program_command.h"
#include "runtime/spec/sandbox_spec.h"

namespace rundlet::engine {

// The root of a program that no image brings: the host's /usr, and nothing else of the host.
struct HostTools {
  std::string hostname;
};

// What holds for code of others: 2 GiB of memory, where the host can enforce that, and
// RUNDLET_PYTHON_TIMEOUT.
struct ForeignLimits {
  std::string attempt;  // for the error when its time is over: "reading project `flights`"
};

// What holds for one program instead; its caller reads ProgramEnd::timed_out.
struct OwnLimits {
  uint64_t memory;  // bytes
  double timeout;   // seconds
};

struct ImageProgram {
  std::variant<const rootfs::Image*, HostTools> root;
  rootfs::ProgramCommand command;
  std::variant<ForeignLimits, OwnLimits> limits;
  std::optional<runtime::Mount> packages = {};  // an environment at /env, first on PATH
  HandedMounts handed = {};                     // mounted last
  uint32_t user = 1000;                         // inside, and its group
  // What it reaches: hosts, or a gate (borrowed) to package indexes and nothing else.
  std::variant<plans::Network, const IndexGate*> network = {};
  std::vector<int> files = {};  // borrowed; the program has them as 3, 4, 5, ...
  LineCallback take_line = {};  // of standard output; without it that is kept
  size_t output_limit = 0;      // bytes that are kept, about
  size_t line_limit = 1 << 16;  // bytes; a longer line is taken in parts
  size_t errors_limit = 4096;   // bytes that are kept of the end of standard error
};

struct ProgramEnd : CapturedOutcome {
  std::string output;
  std::string errors;
  std::optional<std::string> limit;  // that struck, for people; not its time

  bool Succeeded() const;
};

// Code of others took longer than RUNDLET_PYTHON_TIMEOUT.
class OutOfTime : public base::Error {
 public:
  using Error::Error;
};

// Runs it to its end. Throws OutOfTime (kInvalid) for one with ForeignLimits; runtime::ProgramError
// when the program cannot be started; base::Error; Cancelled.
ProgramEnd RunProgram(Engine& engine, ImageProgram program, const base::CancelToken* cancel);

// The part of its sandbox that needs no host, added to the spec of its root.
runtime::SandboxSpec AddProgram(const ImageProgram& program, runtime::SandboxSpec spec);

// The time of foreign code, in seconds, for a step of rundlet's own; and what to do about it.
std::optional<double> ForeignTime(Engine& engine);
inline constexpr const char* kForeignTimeHint = "RUNDLET_PYTHON_TIMEOUT gives it more";

}  // namespace rundlet::engine
