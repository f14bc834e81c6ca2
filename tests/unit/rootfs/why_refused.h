// For tests of refusals.
#pragma once

#include <concepts>
#include <string>

#include "base/error.h"

namespace rundlet::rootfs::testing {

// The whole error of what was refused, without its last line's end; empty when it was not.
template <std::invocable Function>
std::string WhyRefused(Function&& function) {
  try {
    function();
  } catch (const base::Error& error) {
    std::string text = error.Render();
    text.pop_back();
    return text;
  }
  return "";
}

}  // namespace rundlet::rootfs::testing
