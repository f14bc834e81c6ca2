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

constexpr uint32_t kInit = 1;      // of the sandbox, in each of its groups
constexpr uint32_t kLauncher = 1;  // for as long as it sits in a v1 group
constexpr char kVictimScore[] = "500";

}  // namespace

// Numbers of a launcher that died are not used again by the one that replaces it.
Leaves::Leaves(std::vector<Place> places)
    : places_(std::move(places)), number_(static_cast<uint64_t>(getpid()) << 32) {}

void Leaves::EnterFor(const Limits& limits) {
  if (!fresh_) MoveToFresh();
  limits_ = limits;
  for (const Place& place : places_) {
    const uint32_t guests = kInit + (place.kind.version == GroupVersion::kV1 ? kLauncher : 0);
    for (const GroupSetting& setting : SettingsFor(place.kind, limits, guests)) {
      const int error_number = WriteSetting(place.leaf.get(), setting);
      if (error_number != 0) throw GroupFailure{setting.controller, error_number};
    }
  }
}

int Leaves::into() const {
  for (const Place& place : places_) {
    if (place.kind.version == GroupVersion::kV2) return place.leaf.get();
  }
  return -1;
}

void Leaves::PrepareNext() noexcept {
  try {
    if (!fresh_) MoveToFresh();
  } catch (const GroupFailure&) {
    // For instance too many groups for now: not an error unless a sandbox needs one.
  }
}

void Leaves::MoveToFresh() {
  const std::string name = std::to_string(++number_);
  for (Place& place : places_) {
    const Controller first = *place.kind.controllers.begin();
    if (mkdirat(place.dir.get(), name.c_str(), 0755) < 0) throw GroupFailure{first, errno};
    UniqueFd leaf(openat(place.dir.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!leaf.valid()) throw GroupFailure{first, errno};
    if (place.kind.version == GroupVersion::kV1) {
      const int error_number = WriteSetting(leaf.get(), {first, "cgroup.procs", "0"});
      if (error_number != 0) throw GroupFailure{first, error_number};
      // We are out of the last one: its sandbox has no more guests than its init.
      if (place.leaf.valid() && place.kind.controllers.contains(Controller::kPids))
        WriteSetting(place.leaf.get(), PidsSetting(limits_, kInit));
    }
    place.leaf = std::move(leaf);
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
