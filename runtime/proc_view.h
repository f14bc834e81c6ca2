// What /proc tells a sandbox about its host, where a limit makes the kernel's answer wrong:
// libraries size caches and pools by it. The kernel's own files stay where there is no limit.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/sandbox_limits.h"

namespace rundlet::runtime {

// Names below /proc with their contents. `cpuinfo` and `stat` are the host's.
std::vector<std::pair<std::string, std::string>> ProcFilesFor(const Limits& limits,
                                                              std::string_view cpuinfo,
                                                              std::string_view stat);

}  // namespace rundlet::runtime
