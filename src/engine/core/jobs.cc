#include "engine/core/jobs.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/error.h"

namespace rundlet::engine {
namespace {

class Graph {
 public:
  Graph(const std::vector<Job>& jobs, const base::CancelToken* cancel)
      : jobs_(jobs),
        cancel_(cancel),
        results_(jobs.size()),
        states_(jobs.size(), State::kWaiting) {}

  // One thread of a lane: takes jobs until none of its lane is left.
  void Serve(Lane lane) {
    std::unique_lock lock(mutex_);
    while (true) {
      const std::optional<size_t> next = Take(lane);
      if (next.has_value()) {
        lock.unlock();
        const JobResult result = Run(jobs_[*next]);
        lock.lock();
        End(*next, result);
      } else if (!AnyLeft(lane)) {
        return;
      } else {
        changed_.wait(lock);
      }
    }
  }

  std::vector<JobResult> results() { return std::move(results_); }

 private:
  enum class State { kWaiting, kRunning, kEnded };

  JobResult Run(const Job& job) const {
    try {
      if (cancel_ != nullptr) cancel_->ThrowIfCancelled();
      job.run();
      return {JobEnd::kDone, nullptr};
    } catch (const base::Cancelled&) {
      return {JobEnd::kCancelled, nullptr};
    } catch (...) {
      return {JobEnd::kFailed, std::current_exception()};
    }
  }

  std::optional<size_t> Take(Lane lane) {
    for (size_t i = 0; i < jobs_.size(); ++i) {
      if (states_[i] != State::kWaiting) continue;
      bool ready = true;
      for (const size_t need : jobs_[i].needs) {
        if (states_[need] != State::kEnded) ready = false;
        if (states_[need] != State::kEnded || results_[need].end == JobEnd::kDone) continue;
        Skip(i, need);
        ready = false;
        break;
      }
      if (!ready || states_[i] != State::kWaiting || jobs_[i].lane != lane) continue;
      states_[i] = State::kRunning;
      return i;
    }
    return std::nullopt;
  }

  void Skip(size_t index, size_t cause) {
    const bool cancelled = results_[cause].end == JobEnd::kCancelled;
    if (!cancelled && jobs_[index].skip) jobs_[index].skip(cause);
    End(index, {cancelled ? JobEnd::kCancelled : JobEnd::kSkipped, nullptr});
  }

  void End(size_t index, const JobResult& result) {
    results_[index] = result;
    states_[index] = State::kEnded;
    changed_.notify_all();
  }

  bool AnyLeft(Lane lane) const {
    for (size_t i = 0; i < jobs_.size(); ++i) {
      if (states_[i] == State::kWaiting && jobs_[i].lane == lane) return true;
    }
    return false;
  }

  const std::vector<Job>& jobs_;
  const base::CancelToken* cancel_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<JobResult> results_;
  std::vector<State> states_;
};

}  // namespace

std::vector<JobResult> RunJobs(const std::vector<Job>& jobs, const JobLimits& limits,
                               const base::CancelToken* cancel) {
  Graph graph(jobs, cancel);
  const auto wanted = [&jobs](Lane lane, size_t limit) {
    return std::min(
        limit, static_cast<size_t>(std::count_if(
                   jobs.begin(), jobs.end(), [lane](const Job& job) { return job.lane == lane; })));
  };
  std::vector<std::jthread> threads;
  for (const auto& [lane, limit] :
       {std::pair{Lane::kNetwork, limits.network}, {Lane::kCompute, limits.compute}}) {
    for (size_t i = 0; i < wanted(lane, limit); ++i)
      threads.emplace_back([&graph, lane = lane] { graph.Serve(lane); });
  }
  threads.clear();  // joins
  return graph.results();
}

void ThrowFirstError(const std::vector<JobResult>& results) {
  for (const JobResult& result : results) {
    if (result.end == JobEnd::kFailed) std::rethrow_exception(result.error);
  }
  for (const JobResult& result : results) {
    if (result.end == JobEnd::kCancelled) throw base::Cancelled("interrupted");
  }
}

}  // namespace rundlet::engine
