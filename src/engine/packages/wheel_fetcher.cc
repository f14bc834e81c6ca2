#include "engine/packages/wheel_fetcher.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "engine/core/index_access.h"
#include "engine/core/network.h"
#include "rootfs/net/fetch.h"

namespace rundlet::engine {
namespace {

constexpr size_t kMostWorkers = 4;
constexpr uint64_t kSmall = uint64_t{1} << 20;  // bytes

bool IsSmall(const rootfs::Distribution& wheel) { return wheel.size != 0 && wheel.size <= kSmall; }

}  // namespace

struct WheelFetcher::Request {
  rootfs::WantedWheel wheel;
  enum class State { kWaiting, kTaken, kEnded } state = State::kWaiting;
  std::exception_ptr error;
};

void WheelFetcher::Fetch(const rootfs::Distribution& distribution) {
  const std::string task = fmt::format("fetch {}", distribution.Label());
  Report(events_, task, "fetch", [&](Event& finished) {
    const store::Lease lease = engine_.store().Use(store::Kind::kWheel, distribution.WheelKey());
    Request request;
    request.wheel.distribution = &distribution;
    request.wheel.on_wait = NoteWaiting(events_, task, "fetch");
    request.wheel.on_progress = [&](const rootfs::WorkerProgress& progress) {
      events_.Send({.kind = EventKind::kProgress,
                    .task = task,
                    .phase = "fetch",
                    .done = progress.done,
                    .total = progress.total != 0 ? progress.total : distribution.size});
    };
    Await(request);
    finished.done = finished.total = distribution.size;
  });
}

void WheelFetcher::Await(Request& request) {
  std::unique_lock lock(mutex_);
  waiting_.push_back(&request);
  changed_.wait(lock, [&] {
    return request.state == Request::State::kEnded ||
           (request.state == Request::State::kWaiting && workers_ < kMostWorkers);
  });
  if (request.state == Request::State::kWaiting) {
    const std::vector<Request*> batch = TakeWith(request);
    ++workers_;
    lock.unlock();
    Carry(batch);
    lock.lock();
    --workers_;
    for (Request* one : batch) one->state = Request::State::kEnded;
    changed_.notify_all();
  }
  if (request.error) std::rethrow_exception(request.error);
}

// It, and its part of the small ones that are asked for with the same credentials: other workers
// begin with the rest.
std::vector<WheelFetcher::Request*> WheelFetcher::TakeWith(Request& request) {
  const rootfs::Distribution& first = *request.wheel.distribution;
  const size_t part = waiting_.size() / (kMostWorkers - workers_);
  std::vector<Request*> batch = {&request};
  waiting_.remove(&request);
  for (auto at = waiting_.begin(); at != waiting_.end() && batch.size() < part;) {
    const rootfs::Distribution& other = *(*at)->wheel.distribution;
    const bool fits = IsSmall(first) && IsSmall(other) && first.realm == other.realm;
    if (fits) batch.push_back(*at);
    at = fits ? waiting_.erase(at) : std::next(at);
  }
  for (Request* one : batch) one->state = Request::State::kTaken;
  return batch;
}

// Each request has an error of its own: whoever it is thrown to adds to it.
void WheelFetcher::Carry(const std::vector<Request*>& batch) {
  const auto fail = [&](const auto& error) {
    for (Request* one : batch) one->error = std::make_exception_ptr(error);
  };
  try {
    std::vector<rootfs::WantedWheel> wanted;
    for (const Request* one : batch) wanted.push_back(one->wheel);
    Network network(engine_.config(), engine_.config().index_url);
    if (const auto& realm = wanted.front().distribution->realm; realm.has_value())
      network.Present(AccessTo(engine_, realm->index).login);
    const auto failures = rootfs::FetchWheels(engine_.store(), engine_.workers(), wanted,
                                              network.settings(), cancel_);
    for (size_t i = 0; i < batch.size(); ++i) {
      if (failures[i].has_value()) batch[i]->error = std::make_exception_ptr(*failures[i]);
    }
  } catch (const base::Cancelled& cancelled) {
    fail(cancelled);
  } catch (const base::Error& error) {
    fail(error);
  } catch (const std::exception& error) {
    fail(base::Error(base::Fault::kBug, "fetching wheels").Because(error.what()));  // others wait
  }
}

}  // namespace rundlet::engine
