// The system-call filter of every sandbox, compiled at build time by seccomp/compile.cc from
// seccomp/policy.h.
#pragma once

#include <linux/filter.h>

#include <cstddef>

namespace rundlet::runtime {

extern const sock_filter kFilter[];
extern const size_t kFilterLength;  // in instructions

}  // namespace rundlet::runtime
