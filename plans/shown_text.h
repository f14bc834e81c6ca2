// Text that people see, made of what outsiders wrote. Widths are code points: one column each.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rundlet::plans {

// Without control characters or line breaks, so that no part of it can pass for a line of ours.
std::string OneLine(std::string_view text);
size_t Columns(std::string_view text);
// At most `columns` wide; what is cut away shows as "…".
std::string Cut(std::string_view text, size_t columns);
// Lines of at most `columns`, broken between words where that is possible.
std::vector<std::string> Wrap(std::string_view text, size_t columns);
// "`a`, `b` and 3 more": the first `shown` of the names.
std::string NameSome(const std::vector<std::string>& names, size_t shown);
// "1 step", "2 steps".
std::string Count(size_t count, std::string_view noun);

}  // namespace rundlet::plans
