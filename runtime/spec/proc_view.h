// What /proc tells a sandbox about its host, where the kernel's answer is wrong: because of a limit
// (libraries size caches and pools by it), or because it is about everybody. The kernel's own files
// stay where there is no limit.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/spec/limits.h"

namespace rundlet::runtime {

// The host's files, as they read now; `fresh_uuid` is a new one at every read.
struct HostProc {
  std::string_view cpuinfo;
  std::string_view stat;
  std::string_view fresh_uuid;
};

// Names below /proc with their contents. Of the host's files `cpuinfo` and `stat` are looked at
// with a limit of processors only.
std::vector<std::pair<std::string, std::string>> ProcFilesFor(const Limits& limits,
                                                              const HostProc& host);

}  // namespace rundlet::runtime
