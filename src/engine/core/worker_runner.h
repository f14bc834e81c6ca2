// Runs rootfs's worker jobs: rundlet-worker, or rundlet-fetcher for those with a network, as an
// unprivileged process in a sandbox of its own.
#pragma once

#include "engine/core/config.h"
#include "engine/core/host_files.h"
#include "engine/core/installation.h"
#include "rootfs/worker_client.h"
#include "runtime/launcher.h"

namespace rundlet::engine {

// Thread safety: Run may be called from several threads.
class WorkerRunner : public rootfs::WorkerClient {
 public:
  // The launcher is borrowed and outlives this.
  WorkerRunner(const Config& config, const Installation& parts, runtime::Launcher& launcher);

  std::string Run(const rootfs::WorkerJob& job, const rootfs::ProgressCallback& progress,
                  const base::CancelToken* cancel) override;
  // A worker that serves until it is destroyed; what it says is lost.
  runtime::Sandbox Start(const rootfs::WorkerJob& job);

 private:
  runtime::CheckedSpec SpecFor(const rootfs::WorkerJob& job, HandedMounts& handed) const;

  int ProgramFor(const rootfs::WorkerJob& job) const;

  const Config& config_;
  base::UniqueFd worker_;
  base::UniqueFd fetcher_;
  runtime::Launcher& launcher_;
};

}  // namespace rundlet::engine
