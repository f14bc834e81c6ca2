// What a sandbox may use of its host, as values. (Not limits.h: the C library has one.)
#pragma once

#include <cstdint>
#include <optional>

namespace rundlet::runtime {

// For a sandbox that asks for no number: enough for the thread pools of large machines, and far
// from what a host has.
constexpr uint32_t kDefaultPids = 2048;

struct Limits {
  std::optional<uint64_t> memory;  // bytes: processes, tables and scratch together; no swap
  std::optional<uint32_t> cpus;    // thousandths of one processor's time
  std::optional<uint32_t> pids;    // processes and threads; absent: kDefaultPids
  bool operator==(const Limits&) const = default;
};

}  // namespace rundlet::runtime
