#include "runtime/launcher/leaves.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

namespace rundlet::runtime {
namespace {

using base::UniqueFd;

constexpr uint32_t kInit = 1;  // of the sandbox, in each of its groups
constexpr char kVictimScore[] = "500";

// A group of v1's cpu controller alone counts nothing, and whoever enters one waits for its turn on
// a busy host: only for sandboxes that it limits.
bool IsForQuotaOnly(const Leaves::Place& place) {
  return place.kind.version == GroupVersion::kV1 &&
         place.kind.controllers == Controllers{Controller::kCpu};
}

}  // namespace

// Numbers of a launcher that died are not used again by the one that replaces it.
Leaves::Leaves(std::vector<Place> places)
    : places_(std::move(places)), number_(static_cast<uint64_t>(getpid()) << 32) {}

// Moves this process, which has one thread: a thread that moves itself alone is spared the lock
// that makes a write to cgroup.procs wait for the kernel's RCU (0.01 ms instead of up to 15).
void Leaves::MoveTo(const Place& place, int group) {
  const Controller first = *place.kind.controllers.begin();
  const int error_number = WriteSetting(group, {first, "tasks", "0"});
  if (error_number != 0) throw GroupFailure{first, error_number};
}

void Leaves::EnterFor(const Limits& limits) {
  if (!fresh_) MakeFresh();
  for (const Place& place : places_) {
    if (IsForQuotaOnly(place) && limits.cpus.has_value()) MoveTo(place, place.leaf.get());
  }
}

void Leaves::Limit(const Limits& limits) {
  fresh_ = false;
  for (const Place& place : places_) {
    if (place.kind.version == GroupVersion::kV1) MoveTo(place, place.dir.get());
    for (const GroupSetting& setting : SettingsFor(place.kind, limits, kInit)) {
      const int error_number = WriteSetting(place.leaf.get(), setting);
      if (error_number != 0) throw GroupFailure{setting.controller, error_number};
    }
  }
}

UniqueFd Leaves::OomControl(const Limits& limits) const {
  for (const Place& place : places_) {
    if (!limits.memory.has_value() || place.kind.version != GroupVersion::kV1 ||
        !place.kind.controllers.contains(Controller::kMemory)) {
      continue;
    }
    return UniqueFd(openat(place.leaf.get(), "memory.oom_control", O_RDONLY | O_CLOEXEC));
  }
  return {};
}

int Leaves::into() const {
  for (const Place& place : places_) {
    if (place.kind.version == GroupVersion::kV2) return place.leaf.get();
  }
  return -1;
}

void Leaves::PrepareNext() noexcept {
  try {
    if (!fresh_) MakeFresh();
  } catch (const GroupFailure&) {
    // For instance too many groups for now: not an error unless a sandbox needs one.
  }
}

void Leaves::MakeFresh() {
  const std::string name = std::to_string(++number_);
  for (Place& place : places_) {
    const Controller first = *place.kind.controllers.begin();
    if (mkdirat(place.dir.get(), name.c_str(), 0755) < 0) throw GroupFailure{first, errno};
    place.leaf =
        UniqueFd(openat(place.dir.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!place.leaf.valid()) throw GroupFailure{first, errno};
    if (place.kind.version == GroupVersion::kV1 && !IsForQuotaOnly(place))
      MoveTo(place, place.leaf.get());
  }
  fresh_ = true;
}

bool PreferAsVictim(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
  const UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  constexpr ssize_t kLength = sizeof kVictimScore - 1;
  return file.valid() && write(file.get(), kVictimScore, kLength) == kLength;
}

}  // namespace rundlet::runtime
