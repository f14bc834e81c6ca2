// How rootfs has outside bytes parsed and fetched: by a job for an unprivileged worker process in a
// sandbox.
//
// rootfs says what to run on what; the engine, which joins rootfs and runtime, runs it
// (engine/core/worker_runner). A job's request and answer are JSON of our own schema. The answer
// comes from a process that looked at hostile bytes: it is size-limited and validated field by
// field by whoever asked.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "runtime/spec/mount_plan.h"
#include "runtime/spec/sandbox_spec.h"

namespace rundlet::rootfs {

struct WorkerJob {
  // Sub-command of rundlet-worker ("unpack-layer", "install-wheel", ...); with a network, of
  // rundlet-fetcher ("fetch", "registry-get", ...).
  std::string command;
  std::string request;  // JSON text, the worker's standard input; at most 64 MiB
  // Our descriptors of open regular files and pipes; the worker has them as 3, 4, 5, ... Never a
  // directory: with one, ".." leads out of the sandbox.
  std::vector<int> files;
  std::vector<runtime::Mount>
      mounts;  // beyond the worker's own root; typically a staging directory at "/out"
  runtime::Privilege privilege = runtime::Privilege::kNone;
  runtime::Network network = runtime::Network::kNone;
  uint64_t answer_limit = uint64_t{64} << 20;  // bytes
};

// Bytes done of bytes in all (0: not known), for one item of the job (an index of the request's
// list).
struct WorkerProgress {
  uint64_t item = 0;
  uint64_t done = 0;
  uint64_t total = 0;
};
using ProgressCallback = std::function<void(const WorkerProgress&)>;

class WorkerClient {
 public:
  virtual ~WorkerClient() = default;
  // Runs the job to its end and returns the worker's answer (JSON text). Throws base::Error with
  // the worker's own error when it reports one, or when it dies; base::Cancelled when the token is
  // set.
  virtual std::string Run(const WorkerJob& job, const ProgressCallback& progress,
                          const base::CancelToken* cancel) = 0;
};

// What a worker prints on its standard output, one JSON document a line:
//   {"progress": {"item": 0, "done": 1, "total": 2}}   any number of times
//   {"error": {"fault": 2, "chain": ["..."], "hint": ""}}   or   {"answer": {...}}   once, last
// The exit code is 0 for an answer and 1 for an error.

}  // namespace rundlet::rootfs
