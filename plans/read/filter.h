// Private: FILTER trees (docs/reference/step-protocol.md).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace rundlet::plans {

struct CheckedFilter {
  std::string text;                  // canonical JSON: keys sorted, nothing but what a FILTER has
  std::vector<std::string> columns;  // that it looks at; sorted, each once
};

// Throws BadField when `filter` is no FILTER.
CheckedFilter CheckFilter(const nlohmann::json& filter);

}  // namespace rundlet::plans
