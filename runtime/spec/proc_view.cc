#include "runtime/spec/proc_view.h"

#include <fmt/format.h>

#include "base/text.h"

namespace rundlet::runtime {
namespace {

// All of it free, at every time: what is in use, the kernel's group knows, and this text does not.
std::string MemInfo(uint64_t bytes) {
  std::string text;
  const auto line = [&text](const char* name, uint64_t kibibytes) {
    text += fmt::format("{:<16}{:>8} kB\n", fmt::format("{}:", name), kibibytes);
  };
  for (const char* name : {"MemTotal", "MemFree", "MemAvailable"}) line(name, bytes / 1024);
  for (const char* name : {"Buffers", "Cached", "SwapCached", "Active", "Inactive", "SwapTotal",
                           "SwapFree", "Shmem", "Slab", "SReclaimable", "SUnreclaim"}) {
    line(name, 0);
  }
  return text;
}

// The first so many of its blocks.
std::string CpuInfo(std::string_view host, uint32_t processors) {
  size_t end = 0;
  for (uint32_t i = 0; i < processors && end != host.npos; ++i) {
    end = host.find("\n\n", end);
    if (end != host.npos) end += 2;
  }
  return std::string(host.substr(0, end));
}

std::string Stat(std::string_view host, uint32_t processors) {
  constexpr const char* kNothing = "0 0 0 0 0 0 0 0 0 0";
  std::string text = fmt::format("cpu  {}\n", kNothing);
  for (uint32_t i = 0; i < processors; ++i) text += fmt::format("cpu{} {}\n", i, kNothing);
  for (const std::string& line : base::Split(host, '\n')) {
    // Start times of processes are counted from it.
    if (line.starts_with("btime ")) text += line + "\n";
  }
  return text + "processes 0\nprocs_running 1\nprocs_blocked 0\n";
}

}  // namespace

std::vector<std::pair<std::string, std::string>> ProcFilesFor(const Limits& limits,
                                                              const HostProc& host) {
  std::vector<std::pair<std::string, std::string>> files;
  // What others run is not its business, nor that two sandboxes share a host.
  files.emplace_back("loadavg", "0.00 0.00 0.00 1/1 2\n");
  files.emplace_back("sys/kernel/random/boot_id", host.fresh_uuid);
  if (limits.memory.has_value()) files.emplace_back("meminfo", MemInfo(*limits.memory));
  if (limits.cpus.has_value()) {
    const uint32_t processors = (*limits.cpus + 999) / 1000;
    files.emplace_back("cpuinfo", CpuInfo(host.cpuinfo, processors));
    files.emplace_back("stat", Stat(host.stat, processors));
  }
  return files;
}

}  // namespace rundlet::runtime
