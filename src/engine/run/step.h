// One step in its sandbox: tables in by mapped memory, a table out, what it said on the way.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/fd.h"
#include "engine/core/capture.h"
#include "engine/core/engine.h"
#include "engine/core/host_files.h"
#include "engine/sandbox/image_sandbox.h"
#include "engine/sandbox/wanted_limits.h"
#include "plans/network.h"
#include "rootfs/images/image.h"
#include "rootfs/packages/environment.h"

namespace rundlet::engine {

// A table between steps: one Arrow IPC file in shared memory, sealed once its step has ended.
// Everybody maps the same pages; the memory is gone with the last descriptor.
using SharedTable = std::shared_ptr<base::UniqueFd>;

struct StepInput {
  std::string argument;
  std::string model;
  SharedTable table;
  std::vector<std::string> columns;  // with `all_columns` false
  bool all_columns = true;
  std::string filter;  // JSON of a FILTER; empty: none
};

// A file that a scan reads: of the host, opened by its user, or of the state directory.
struct StepSource {
  std::vector<base::UniqueFd> files;
  std::string table;
  std::string format;  // "parquet", "csv", "arrow"
};

enum class StepOutput { kNone, kTable, kParquet };

struct StepTask {
  std::string kind;  // of the runner: "python", "sql", "expectation", "scan", "materialize", "head"
  std::string label;  // for people and for the log's file name
  const rootfs::Image* image = nullptr;
  const rootfs::Environment* environment = nullptr;
  std::string project = {};  // the project's files, relative to the state directory; empty: none
  std::string out = {};  // StepOutput::kParquet: a new directory, relative to the state directory
  std::string file = {};
  std::string function = {};
  std::string sql = {};
  std::vector<StepInput> inputs = {};
  std::string parameters = "{}";  // JSON: by argument
  const StepSource* source = nullptr;
  StepOutput output = StepOutput::kNone;
  unsigned limit = 10;  // rows of the preview
  std::vector<std::pair<std::string, std::string>> variables = {};
  plans::Network network = {};
  WantedLimits limits = {};  // checked
};

// What the runner reported, checked. Texts are outsiders'.
struct StepResult {
  std::optional<uint64_t> rows;
  uint64_t bytes = 0;
  std::vector<std::pair<std::string, std::string>> columns;  // name, type
  std::string preview = "[]";                                // JSON: rows of scalars
  std::optional<bool> held;                                  // expectations
  std::string message;
  SharedTable table;  // StepOutput::kTable
};

// What it took, whether it succeeded or not.
struct StepUsage {
  uint64_t peak_memory = 0;              // bytes, of all its processes
  std::chrono::nanoseconds cpu_time{0};  // of all processors
  std::chrono::nanoseconds duration{0};
};

// Where a step writes its result.
inline constexpr const char* kOutInside = "/rundlet/out";

// The sandbox of a step, with the runner as its program, but for kOutInside. `handed` may hold
// mounts already.
runtime::SandboxSpec StepSpec(Engine& engine, const ImageSandbox& sandbox, const StepTask& task,
                              HandedMounts& handed, const base::CancelToken* cancel);

// Runs it to its end. `log` gets each line of its output streams; `usage` is filled in as soon as
// it has ended. Throws base::Error (kStep) that says what failed, with the user's file and line
// where there is one, and the limit that struck; base::Error (kHost, kBug); Cancelled.
StepResult RunStep(Engine& engine, const StepTask& task, const LineCallback& log,
                   const base::CancelToken* cancel, StepUsage& usage);

}  // namespace rundlet::engine
