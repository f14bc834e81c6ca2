#include "engine/sandbox/wanted_limits.h"

#include <fcntl.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "engine/sandbox/image_sandbox.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

constexpr uint64_t kDefaultDisk = uint64_t{1} << 30;
constexpr uint64_t kLeastDisk = uint64_t{1} << 20;
constexpr double kLongestTimeout = 366 * 86'400;

uint64_t MemoryOfHost() {
  struct sysinfo info {};
  if (sysinfo(&info) < 0) base::ThrowErrno("asking for the host's memory");
  return uint64_t{info.totalram} * info.mem_unit;
}

uint64_t PidsOfHost() {
  const base::UniqueFd file = base::OpenHostPath("/proc/sys/kernel/pid_max", O_RDONLY);
  return std::strtoull(base::ReadFd(file.get(), 64, "pid_max").c_str(), nullptr, 10);
}

uint32_t Thousandths(double cpus) {
  return static_cast<uint32_t>(std::clamp(std::round(cpus * 1000), 0.0, 4e9));
}

runtime::Limits LimitsOf(const WantedLimits& wanted) {
  runtime::Limits limits = {.memory = wanted.memory, .cpus = {}, .pids = wanted.pids};
  if (wanted.cpus.has_value()) limits.cpus = Thousandths(*wanted.cpus);
  return limits;
}

// A sandbox with little memory gets an error of its own for a full /tmp, before the kernel kills.
uint64_t DiskOf(const WantedLimits& wanted) {
  if (wanted.disk.has_value()) return *wanted.disk;
  return wanted.memory.has_value() ? std::min(kDefaultDisk, *wanted.memory / 2) : kDefaultDisk;
}

class Checker {
 public:
  explicit Checker(const std::string& whose) : whose_(whose) {}

  [[noreturn]] void Refuse(const std::string& what, const std::string& why) const {
    throw Error(Fault::kInvalid, fmt::format("limiting {}", whose_))
        .Because(fmt::format("{}: {}", what, why));
  }

  void AtMost(const char* what, uint64_t bytes, uint64_t most, const char* of_whom) const {
    if (bytes <= most) return;
    Refuse(fmt::format("{} of {}", base::HumanBytes(bytes), what),
           fmt::format("{} has {}", of_whom, base::HumanBytes(most)));
  }

 private:
  const std::string& whose_;
};

}  // namespace

void CheckLimits(Engine& engine, const WantedLimits& wanted, const std::string& whose) {
  const Checker checker(whose);
  const runtime::Limits limits = LimitsOf(wanted);
  try {
    runtime::CheckLimits(limits);
    engine.launcher().Require(limits);
  } catch (Error& error) {
    error.While(fmt::format("limiting {}", whose));
    throw;
  }
  const uint64_t memory = MemoryOfHost();
  if (wanted.memory.has_value()) checker.AtMost("memory", *wanted.memory, memory, "this host");
  const unsigned cores = engine.config().cores;
  if (wanted.cpus.has_value() && *wanted.cpus > cores)
    checker.Refuse(fmt::format("{} processors", *wanted.cpus),
                   fmt::format("rundlet may use {} of this host's", cores));
  if (wanted.pids.has_value() && *wanted.pids > PidsOfHost())
    checker.Refuse(fmt::format("{} processes", *wanted.pids),
                   fmt::format("this host has {}", PidsOfHost()));
  if (wanted.disk.has_value()) {
    if (*wanted.disk < kLeastDisk)
      checker.Refuse(fmt::format("{} of disk", base::HumanBytes(*wanted.disk)),
                     fmt::format("it must be at least {}", base::HumanBytes(kLeastDisk)));
    checker.AtMost("disk, which is kept in memory", *wanted.disk, memory, "this host");
    if (wanted.memory.has_value())
      checker.AtMost("disk, which is kept in memory", *wanted.disk, *wanted.memory,
                     "its memory limit");
  }
  if (wanted.timeout.has_value() && !(*wanted.timeout > 0 && *wanted.timeout <= kLongestTimeout))
    checker.Refuse(fmt::format("a timeout of {} s", *wanted.timeout),
                   "it must be more than 0 and at most a year");
}

void ApplyLimits(const WantedLimits& wanted, runtime::SandboxSpec& spec) {
  spec.limits = LimitsOf(wanted);
  spec.scratch_bytes = DiskOf(wanted);
  if (wanted.cpus.has_value()) SetThreads(spec, static_cast<unsigned>(std::ceil(*wanted.cpus)));
}

void SetThreads(runtime::SandboxSpec& spec, unsigned threads) {
  for (const char* name :
       {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS",
        "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "PYTHON_CPU_COUNT"}) {
    SetVariable(spec, name, std::to_string(threads));
  }
}

std::optional<std::string> StruckLimit(const runtime::SandboxSpec& spec,
                                       const runtime::Outcome& outcome) {
  if (outcome.end == runtime::Outcome::End::kExited && outcome.code == 0) return std::nullopt;
  if (outcome.memory_kills > 0) {
    return spec.limits.memory.has_value()
               ? fmt::format("out of memory at {}", base::HumanBytes(*spec.limits.memory))
               : std::string("killed for memory: this host, or what limits rundlet, had none left");
  }
  if (outcome.forks_refused > 0) {
    return fmt::format("reached its limit of {} processes and threads",
                       spec.limits.pids.value_or(runtime::kDefaultPids));
  }
  if (outcome.scratch_full) {
    return fmt::format("its disk (/tmp and all else it may write to) was full at {}",
                       base::HumanBytes(spec.scratch_bytes));
  }
  return std::nullopt;
}

std::string TimedOut(double seconds) { return fmt::format("timed out after {} s", seconds); }

}  // namespace rundlet::engine
