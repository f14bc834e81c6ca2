// What fuzz targets hold their parsers to.
#pragma once

#include <cstdlib>
#include <string>

#include "base/error.h"

namespace rundlet::fuzz {

inline void Require(bool condition) {
  if (!condition) std::abort();
}

// Refusing the input is right, in words that no terminal takes for commands.
template <typename Function>
void Try(Function&& function) {
  try {
    function();
  } catch (const base::Error& error) {
    Require(error.Render().find('\x1b') == std::string::npos);
  }
}

}  // namespace rundlet::fuzz
