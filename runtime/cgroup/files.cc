#include "runtime/cgroup/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

namespace rundlet::runtime {
namespace {

using std::chrono::nanoseconds;

// The kernel's own default; shorter periods cost more, longer ones are felt as pauses.
constexpr uint64_t kPeriodMicroseconds = 100'000;

std::optional<uint64_t> WholeNumber(std::string_view text) {
  uint64_t value = 0;
  text = base::Trim(text);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string ReadGroupFile(int group, const char* file) {
  const base::UniqueFd fd(openat(group, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  char text[8192];
  const ssize_t count = fd.valid() ? read(fd.get(), text, sizeof text) : 0;
  return count > 0 ? std::string(text, static_cast<size_t>(count)) : std::string();
}

uint64_t Quota(uint32_t cpus) { return kPeriodMicroseconds * cpus / 1000; }

void AddV1(const Controllers& controllers, const Limits& limits, std::vector<GroupSetting>& list) {
  if (controllers.contains(Controller::kMemory) && limits.memory.has_value()) {
    const std::string bytes = std::to_string(*limits.memory);
    list.push_back({Controller::kMemory, "memory.limit_in_bytes", bytes});
    // Memory and swap together: the same number leaves no swap. Never before the other.
    list.push_back({Controller::kMemory, "memory.memsw.limit_in_bytes", bytes, true});
    list.push_back({Controller::kMemory, "memory.swappiness", "0", true});
  }
  if (controllers.contains(Controller::kCpu) && limits.cpus.has_value()) {
    list.push_back({Controller::kCpu, "cpu.cfs_period_us", std::to_string(kPeriodMicroseconds)});
    list.push_back({Controller::kCpu, "cpu.cfs_quota_us", std::to_string(Quota(*limits.cpus))});
  }
}

void AddV2(const Controllers& controllers, const Limits& limits, std::vector<GroupSetting>& list) {
  if (controllers.contains(Controller::kMemory)) {
    // A sandbox of which the kernel killed a part would hang or lie: all of it goes.
    list.push_back({Controller::kMemory, "memory.oom.group", "1"});
    if (limits.memory.has_value()) {
      list.push_back({Controller::kMemory, "memory.max", std::to_string(*limits.memory)});
      list.push_back({Controller::kMemory, "memory.swap.max", "0", true});
    }
  }
  if (controllers.contains(Controller::kCpu) && limits.cpus.has_value()) {
    list.push_back({Controller::kCpu, "cpu.max",
                    fmt::format("{} {}", Quota(*limits.cpus), kPeriodMicroseconds)});
  }
}

void ReadV1(const Controllers& controllers, int group, GroupUsage& usage) {
  if (controllers.contains(Controller::kMemory)) {
    usage.peak_memory = WholeNumber(ReadGroupFile(group, "memory.max_usage_in_bytes"));
    usage.memory_kills =
        FlatValue(ReadGroupFile(group, "memory.oom_control"), "oom_kill").value_or(0);
  }
  if (controllers.contains(Controller::kCpuTime)) {
    const auto time = [group](const char* file) -> std::optional<nanoseconds> {
      const auto number = WholeNumber(ReadGroupFile(group, file));
      if (!number.has_value()) return std::nullopt;
      return nanoseconds(static_cast<int64_t>(*number));
    };
    usage.user_time = time("cpuacct.usage_user");
    usage.system_time = time("cpuacct.usage_sys");
  }
}

void ReadV2(const Controllers& controllers, int group, GroupUsage& usage) {
  if (controllers.contains(Controller::kMemory)) {
    usage.peak_memory = WholeNumber(ReadGroupFile(group, "memory.peak"));
    usage.memory_kills = FlatValue(ReadGroupFile(group, "memory.events"), "oom_kill").value_or(0);
  }
  const std::string text = ReadGroupFile(group, "cpu.stat");
  const auto time = [&text](const char* key) -> std::optional<nanoseconds> {
    const auto number = FlatValue(text, key);
    if (!number.has_value()) return std::nullopt;
    return std::chrono::microseconds(static_cast<int64_t>(*number));
  };
  usage.user_time = time("user_usec");
  usage.system_time = time("system_usec");
}

}  // namespace

std::vector<GroupSetting> SettingsFor(const GroupKind& kind, const Limits& limits,
                                      uint32_t guests) {
  std::vector<GroupSetting> list;
  switch (kind.version) {
    case GroupVersion::kV1:
      AddV1(kind.controllers, limits, list);
      break;
    case GroupVersion::kV2:
      AddV2(kind.controllers, limits, list);
      break;
  }
  if (kind.controllers.contains(Controller::kPids)) {
    list.push_back({Controller::kPids, "pids.max",
                    std::to_string(uint64_t{limits.pids.value_or(kDefaultPids)} + guests)});
  }
  return list;
}

int WriteSetting(int group, const GroupSetting& setting) {
  const base::UniqueFd fd(openat(group, setting.file.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid()) return errno == ENOENT && setting.may_be_absent ? 0 : errno;
  const ssize_t written = write(fd.get(), setting.value.data(), setting.value.size());
  return written == static_cast<ssize_t>(setting.value.size()) ? 0 : errno;
}

void ReadUsage(const GroupKind& kind, int group, GroupUsage& usage) {
  switch (kind.version) {
    case GroupVersion::kV1:
      ReadV1(kind.controllers, group, usage);
      break;
    case GroupVersion::kV2:
      ReadV2(kind.controllers, group, usage);
      break;
  }
  if (kind.controllers.contains(Controller::kPids)) {
    usage.forks_refused = FlatValue(ReadGroupFile(group, "pids.events"), "max").value_or(0);
  }
}

std::optional<uint64_t> FlatValue(std::string_view text, std::string_view key) {
  for (const std::string& line : base::Split(text, '\n')) {
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ')
      return WholeNumber(std::string_view(line).substr(key.size() + 1));
  }
  return std::nullopt;
}

}  // namespace rundlet::runtime
