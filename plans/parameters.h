// Parameters of a pipeline: declared in rundlet.toml, given on the command line, used by steps.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "plans/name.h"

namespace rundlet::plans {

struct Pipeline;

enum class ParameterType { kInt, kFloat, kStr, kBool, kDate };
// "int", "float", "str", "bool", "date": as rundlet.toml has them.
std::string_view NameOf(ParameterType type);
std::optional<ParameterType> ParseParameterType(std::string_view text);

// A day of the Gregorian calendar, years 1 to 9999; its text form is ISO 8601 ("2013-01-31").
struct Date {
  int32_t year = 1;
  int32_t month = 1;
  int32_t day = 1;
  static std::optional<Date> Parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const Date&) const = default;
};

// The alternative is the type, in the order of ParameterType. A float is finite; a str is UTF-8
// without NUL.
using ParameterValue = std::variant<int64_t, double, std::string, bool, Date>;
using ParameterValues = std::map<ParameterName, ParameterValue>;

ParameterType TypeOf(const ParameterValue& value);
// The one text form of a value: what ParseParameter reads, and what fingerprints hold.
std::string ToText(const ParameterValue& value);
// Reads strictly: no spaces, no "+", "true" and "false" only. nullopt when it is no value of that
// type.
std::optional<ParameterValue> ParseParameter(ParameterType type, std::string_view text);

// The value of every parameter: what the user gave (`--param name=text`), else its default. Throws
// InvalidPipeline naming every one that is unknown, given twice, of another type, or without a
// value.
ParameterValues BindParameters(const Pipeline& pipeline,
                               const std::vector<std::pair<std::string, std::string>>& given);

}  // namespace rundlet::plans
