// Runs rootfs's worker jobs: rundlet-worker as an unprivileged process in a sandbox of its own.
#pragma once

#include "engine/config.h"
#include "engine/host_files.h"
#include "rootfs/worker_client.h"
#include "runtime/launcher.h"

namespace rundlet::engine {

// Thread safety: Run may be called from several threads.
class WorkerRunner : public rootfs::WorkerClient {
 public:
  // `program` is the path of rundlet-worker; the launcher is borrowed and outlives this.
  WorkerRunner(const Config& config, const std::string& program, runtime::Launcher& launcher);

  std::string Run(const rootfs::WorkerJob& job, const rootfs::ProgressCallback& progress,
                  const base::CancelToken* cancel) override;
  // A worker that serves until it is destroyed; what it says is lost.
  runtime::Sandbox Start(const rootfs::WorkerJob& job);

 private:
  runtime::CheckedSpec SpecFor(const rootfs::WorkerJob& job, HandedMounts& handed) const;

  const Config& config_;
  base::UniqueFd program_;
  runtime::Launcher& launcher_;
};

}  // namespace rundlet::engine
