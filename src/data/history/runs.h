// The history of runs: runs/<id>/ holds the project as it was, the record of its steps and each
// one's log.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "store/store.h"

namespace rundlet::data {

enum class RunState { kRunning, kSucceeded, kFailed, kInterrupted };
const char* NameOf(RunState state);  // "running", ...

// A table that a failed step had as an input.
struct InputRecord {
  std::string table;
  uint64_t bytes = 0;
  std::string missing = {};  // why it is not kept; empty: it is
};

struct StepRecord {
  std::string name;
  std::string kind;    // "python", "sql", "expect", "materialize", ...
  std::string result;  // "done", "cached", "failed", "skipped", "interrupted", "not-needed"
  double seconds = 0;
  double cpu_seconds = 0;    // of all processors
  uint64_t peak_memory = 0;  // bytes, of all its processes at once
  std::optional<uint64_t> rows = {};
  std::string message = {};              // the error, or why it was skipped
  std::string network = "none";          // what it might reach: plans::Network
  std::vector<InputRecord> inputs = {};  // of one that failed
};

struct RunRecord {
  std::string id;
  std::string project;
  std::string path;        // of the project on the host
  int64_t started_at = 0;  // seconds since the epoch
  double seconds = 0;
  RunState state = RunState::kRunning;
  uint32_t id_base = 0;  // host ids of its steps: id_base .. id_base + id_count - 1
  uint32_t id_count = 0;
  std::vector<StepRecord> steps;
};

// A run in progress. Its directory is locked while this lives: a record that says "running" without
// a lock belongs to a process that died.
class Run {
 public:
  Run(store::Store& store, RunRecord record);

  const std::string& id() const { return record_.id; }
  // "runs/<id>": relative to the state directory.
  std::string directory() const { return "runs/" + record_.id; }
  int dir() const { return dir_.get(); }
  RunRecord& record() { return record_; }
  // Writes the record; the directory's own scratch folders are removed. For the end, whatever it
  // is.
  void Finish(RunState state);

 private:
  void WriteRecord() const;

  RunRecord record_;
  base::UniqueFd dir_;
  base::UniqueFd lock_;
  std::chrono::steady_clock::time_point begin_;
};

std::vector<RunRecord> ListRuns(store::Store& store);  // newest first
// `id` may be a unique beginning, or "last". Throws base::Error (kInvalid).
RunRecord FindRun(store::Store& store, const std::string& id);
// Lines of one step's log, or of all with "step | " before each.
std::string ReadLogs(store::Store& store, const RunRecord& run, const std::string& step);

}  // namespace rundlet::data
