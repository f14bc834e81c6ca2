// What the files of one control group are written and what they say.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/spec/controllers.h"
#include "runtime/spec/limits.h"

namespace rundlet::runtime {

struct GroupSetting {
  Controller controller = Controller::kMemory;
  std::string file = {};
  std::string value;
  // Kernels without swap accounting have no file to forbid swap with.
  bool may_be_absent = false;
  bool operator==(const GroupSetting&) const = default;
};

// In the order in which they must be written. `guests` are processes in the group beside the
// sandbox's program and what it starts.
std::vector<GroupSetting> SettingsFor(const GroupKind& kind, const Limits& limits, uint32_t guests);

// Writes one file of the group that `group` is open on. 0, or errno.
int WriteSetting(int group, const GroupSetting& setting);

// What the kernel counted. Absent: no controller for it.
struct GroupUsage {
  std::optional<uint64_t> peak_memory;  // bytes, of all processes at once, page cache included
  std::optional<std::chrono::nanoseconds> user_time;
  std::optional<std::chrono::nanoseconds> system_time;
  uint64_t memory_kills = 0;   // processes killed for memory
  uint64_t forks_refused = 0;  // by the pids limit
  bool operator==(const GroupUsage&) const = default;
};

// Adds what the group that `group` is open on counts; what cannot be read is left out.
void ReadUsage(const GroupKind& kind, int group, GroupUsage& usage);

// The number behind `key` in a file of "key number" lines.
std::optional<uint64_t> FlatValue(std::string_view text, std::string_view key);

}  // namespace rundlet::runtime
