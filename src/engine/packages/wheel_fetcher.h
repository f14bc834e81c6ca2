// Brings wheels into the store for jobs that run in several threads.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <list>
#include <mutex>
#include <vector>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "rootfs/formats/distribution.h"

namespace rundlet::engine {

// What one job asks for is fetched together with what others ask for meanwhile: by one worker, over
// the connections it has. Starting a worker and shaking hands cost more than a small wheel. A large
// one comes alone, so that no small one waits for it.
//
// Thread safety: Fetch may be called from several threads. All references outlive it.
class WheelFetcher {
 public:
  // Threads that are worth their stack: they wait, and what they ask for is put together.
  static constexpr size_t kMostCallers = 32;

  WheelFetcher(Engine& engine, EventBus& events, const base::CancelToken* cancel)
      : engine_(engine), events_(events), cancel_(cancel) {}

  // One wheel, which is in the store on return. Throws base::Error naming it and its host;
  // Cancelled.
  void Fetch(const rootfs::Distribution& distribution);

 private:
  struct Request;
  void Await(Request& request);
  std::vector<Request*> TakeWith(Request& request);
  void Carry(const std::vector<Request*>& batch);

  Engine& engine_;
  EventBus& events_;
  const base::CancelToken* cancel_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Request*> waiting_;
  size_t workers_ = 0;  // that fetch now
};

}  // namespace rundlet::engine
