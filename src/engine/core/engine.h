// The runner: the only place where store, rootfs, runtime and plans meet.
//
// An Engine is one open state directory with its launcher. It runs in the process of the CLI or of
// the daemon; several may share one state directory. Functions of this folder take an Engine and do
// one thing each. Thread safety: everything here may be used from several threads.
#pragma once

#include <memory>
#include <string>

#include "engine/core/config.h"
#include "engine/core/installation.h"
#include "engine/core/worker_runner.h"
#include "runtime/launcher.h"
#include "store/store.h"

namespace rundlet::engine {

class BytecodeQueue;

class Engine {
 public:
  // Opens the state directory. The launcher's process starts with the first sandbox.
  explicit Engine(Config config);
  ~Engine();

  const Config& config() const { return config_; }
  const Installation& installation() const { return installation_; }
  store::Store& store() { return *store_; }
  runtime::Launcher& launcher() { return launcher_; }
  WorkerRunner& workers() { return workers_; }
  BytecodeQueue& bytecode() { return *bytecode_; }

 private:
  const Config config_;
  const Installation installation_;
  const std::unique_ptr<store::Store> store_;
  runtime::Launcher launcher_;
  WorkerRunner workers_;
  const std::unique_ptr<BytecodeQueue> bytecode_;  // ends before what it uses
};

}  // namespace rundlet::engine
