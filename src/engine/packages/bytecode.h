// Bytecode of installed packages: made beside the steps that use them (ADR 65).
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/packages/compiler.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/images/image.h"
#include "store/store.h"

namespace rundlet::engine {

// The lower of a package, to be committed under its make lease. The image's own interpreter
// compiles; what it writes reaches only sandboxes with that very interpreter. `tree` is where the
// package is, relative to the state directory. Throws base::Error naming the package when the
// interpreter takes too long or writes what nobody asked for; Cancelled.
store::NewEntry CompileLower(Engine& engine, const rootfs::Image& image,
                             const store::EntryInfo& package, const std::string& tree,
                             const base::CancelToken* cancel);

// Packages whose bytecode is not made yet. They are compiled by half of the cores while nothing is
// installed: the others are for steps. Once somebody waits, by all. Thread safety: everything may
// be called from several threads.
class BytecodeQueue {
 public:
  // Somebody installs a package, as long as this lives.
  class Installing {
   public:
    explicit Installing(BytecodeQueue& queue);
    ~Installing();
    Installing(const Installing&) = delete;
    Installing& operator=(const Installing&) = delete;

   private:
    BytecodeQueue& queue_;
  };

  // The engine outlives it.
  explicit BytecodeQueue(Engine& engine) : engine_(engine) {}
  // What is not done is given up, and made when it is wanted again.
  ~BytecodeQueue();

  void Add(const rootfs::Image& image, const rootfs::Distribution& distribution);
  size_t left();
  // Until nothing is left. Throws Cancelled.
  void Wait(const base::CancelToken* cancel);
  // Why packages have none, each told once: they work without.
  std::vector<std::string> TakeFailures();

 private:
  struct Wanted {
    rootfs::Image image;
    rootfs::Distribution distribution;
  };
  // What one thread compiles, to be committed with one flush of the disk.
  struct Batch {
    std::vector<Wanted> wanted;
    std::vector<store::Lease> leases = {};
    std::vector<store::NewEntry> made = {};
    std::vector<std::string> failures = {};
  };
  void Serve(const std::stop_token& stop);
  bool MayTake() const;
  Batch Take();
  void Make(Batch& batch);
  void Compile(const Wanted& wanted, Batch& batch);

  Engine& engine_;
  base::CancelToken given_up_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Wanted> waiting_;
  size_t left_ = 0;     // packages, those under way among them
  size_t running_ = 0;  // batches
  size_t installing_ = 0;
  size_t awaited_ = 0;  // by so many
  std::vector<std::string> failures_;
  std::vector<std::jthread> threads_;
};

}  // namespace rundlet::engine
