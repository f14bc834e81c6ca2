// Carries out a graph of jobs: as many at once as their lane allows, each after those it needs.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "base/cancel.h"

namespace rundlet::engine {

enum class Lane {
  kNetwork,  // waits for the network most of its time
  kCompute,  // uses a core
};

struct Job {
  std::vector<size_t> needs = {};  // indices of jobs that stand before this one
  Lane lane = Lane::kCompute;
  std::function<void()> run;  // throws to fail
  // Told instead of run() when a job that this one needs failed or was skipped; `cause` is that
  // job's index.
  std::function<void(size_t cause)> skip = {};
};

struct JobLimits {
  size_t network = 8;
  size_t compute = 1;
};

enum class JobEnd { kDone, kFailed, kSkipped, kCancelled };
struct JobResult {
  JobEnd end = JobEnd::kCancelled;
  std::exception_ptr error;  // kFailed
};

// Returns when every job has ended. A failed job skips what needs it, transitively; everything else
// goes on. Once the token is set no job is started, and those that run end as they notice it.
std::vector<JobResult> RunJobs(const std::vector<Job>& jobs, const JobLimits& limits,
                               const base::CancelToken* cancel);

// Rethrows the error of the first job (by index) that failed; throws Cancelled when one was
// cancelled.
void ThrowFirstError(const std::vector<JobResult>& results);

}  // namespace rundlet::engine
