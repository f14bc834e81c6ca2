// What a command prints: data for its caller on standard output, talk on standard error.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "base/error.h"

namespace rundlet::cli {

// (kHost)
base::Error LostOutput(int error_number);

// Throws it when some data that was printed so far could not be written: that is no success.
void FlushOutput();

// Talk that cannot be written stops nothing.
template <typename... Args>
void Say(fmt::format_string<Args...> format, Args&&... args) {
  std::fputs(fmt::format(format, std::forward<Args>(args)...).c_str(), stderr);
}

}  // namespace rundlet::cli
