// Before a JSON text of outsiders is parsed: code that walks, copies or writes a document recurses,
// and its parser does not.
#pragma once

#include <cstddef>
#include <string_view>

namespace rundlet::base {

// How deep its brackets nest; those in strings do not count. Of a text that is no JSON anything.
size_t JsonDepth(std::string_view text);

// Deeper than any document of ours, and far from what a stack holds.
inline constexpr size_t kMaxJsonDepth = 512;

}  // namespace rundlet::base
