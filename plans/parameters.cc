#include "plans/parameters.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <set>

#include "base/text.h"
#include "plans/invalid_pipeline.h"
#include "plans/pipeline.h"
#include "plans/shown_text.h"
#include "plans/utf8.h"

namespace rundlet::plans {
namespace {

constexpr size_t kMaxValue = 64 << 10;  // bytes of a value

constexpr std::array<std::string_view, 5> kTypeNames = {"int", "float", "str", "bool", "date"};

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

// Exactly `text.size()` digits: from_chars alone would take "-1".
std::optional<int32_t> ParseDigits(std::string_view text) {
  for (const char c : text) {
    if (!IsAsciiDigit(c)) return std::nullopt;
  }
  return ParseNumber<int32_t>(text);
}

int32_t DaysOf(int32_t year, int32_t month) {
  constexpr std::array<int32_t, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return kDays[static_cast<size_t>(month - 1)] + (month == 2 && leap ? 1 : 0);
}

std::string_view ExampleOf(ParameterType type) {
  switch (type) {
    case ParameterType::kInt:
      return "a whole number of 64 bits, such as 2013";
    case ParameterType::kFloat:
      return "a finite number, such as 0.5";
    case ParameterType::kStr:
      return "UTF-8 text without NUL, at most 64 KiB";
    case ParameterType::kBool:
      return "true or false";
    case ParameterType::kDate:
      return "a date such as 2013-01-31";
  }
  return {};
}

std::vector<std::string> NamesOf(const std::map<ParameterName, Parameter>& parameters) {
  std::vector<std::string> names;
  for (const auto& [name, parameter] : parameters) names.push_back(name.text());
  return names;
}

// The value that one `--param` gives, or the problem with it.
std::variant<ParameterValue, Problem> ReadGiven(const Parameter& parameter, const std::string& name,
                                                const std::string& text) {
  if (auto value = ParseParameter(parameter.type, text)) return *std::move(value);
  Problem problem;
  problem.message = fmt::format("setting parameter `{}` to `{}`", name, Cut(OneLine(text), 80));
  problem.cause =
      fmt::format("it is of type {}: {}", NameOf(parameter.type), ExampleOf(parameter.type));
  return problem;
}

Problem UnknownParameter(const Pipeline& pipeline, const std::string& name) {
  Problem problem;
  problem.message = fmt::format("setting parameter `{}`", name);
  problem.cause = "the pipeline has no parameter of that name";
  const std::vector<std::string> known = NamesOf(pipeline.config.parameters);
  if (const std::string close = base::ClosestWord(name.substr(0, kMaxNameLength), known);
      !close.empty()) {
    problem.hint = fmt::format("did you mean `{}`?", close);
  } else if (!known.empty()) {
    problem.hint = fmt::format("it has {}", NameSome(known, 5));
  }
  return problem;
}

}  // namespace

std::string_view NameOf(ParameterType type) { return kTypeNames[static_cast<size_t>(type)]; }

std::optional<ParameterType> ParseParameterType(std::string_view text) {
  for (size_t i = 0; i < kTypeNames.size(); ++i) {
    if (kTypeNames[i] == text) return static_cast<ParameterType>(i);
  }
  return std::nullopt;
}

std::optional<Date> Date::Parse(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto year = ParseDigits(text.substr(0, 4));
  const auto month = ParseDigits(text.substr(5, 2));
  const auto day = ParseDigits(text.substr(8, 2));
  if (!year || !month || !day || *year < 1 || *month < 1 || *month > 12) return std::nullopt;
  if (*day < 1 || *day > DaysOf(*year, *month)) return std::nullopt;
  return Date{*year, *month, *day};
}

std::string Date::text() const { return fmt::format("{:04}-{:02}-{:02}", year, month, day); }

ParameterType TypeOf(const ParameterValue& value) {
  return static_cast<ParameterType>(value.index());
}

std::string ToText(const ParameterValue& value) {
  switch (TypeOf(value)) {
    case ParameterType::kInt:
      return fmt::format("{}", std::get<int64_t>(value));
    case ParameterType::kFloat:
      return fmt::format("{}",
                         std::get<double>(value));  // the shortest text that reads back the same
    case ParameterType::kStr:
      return std::get<std::string>(value);
    case ParameterType::kBool:
      return std::get<bool>(value) ? "true" : "false";
    case ParameterType::kDate:
      return std::get<Date>(value).text();
  }
  return {};
}

std::optional<ParameterValue> ParseParameter(ParameterType type, std::string_view text) {
  switch (type) {
    case ParameterType::kInt:
      if (const auto number = ParseNumber<int64_t>(text)) return *number;
      return std::nullopt;
    case ParameterType::kFloat:
      if (const auto number = ParseNumber<double>(text); number && std::isfinite(*number))
        return *number;
      return std::nullopt;
    case ParameterType::kStr:
      if (text.size() > kMaxValue || text.find('\0') != text.npos || !IsUtf8(text))
        return std::nullopt;
      return std::string(text);
    case ParameterType::kBool:
      if (text == "true") return true;
      if (text == "false") return false;
      return std::nullopt;
    case ParameterType::kDate:
      if (const auto date = Date::Parse(text)) return *date;
      return std::nullopt;
  }
  return std::nullopt;
}

ParameterValues BindParameters(const Pipeline& pipeline,
                               const std::vector<std::pair<std::string, std::string>>& given) {
  const auto& declared = pipeline.config.parameters;
  ParameterValues values;
  std::set<ParameterName> wrong;  // told already: not again as "no value"
  std::vector<Problem> problems;
  for (const auto& [text, value_text] : given) {
    const auto name = ParameterName::Parse(text);
    const auto found = name ? declared.find(*name) : declared.end();
    if (found == declared.end()) {
      problems.push_back(UnknownParameter(pipeline, text));
      continue;
    }
    auto read = ReadGiven(found->second, text, value_text);
    if (auto* problem = std::get_if<Problem>(&read)) {
      wrong.insert(*name);
      problems.push_back(std::move(*problem));
    } else if (!values.emplace(*name, std::get<ParameterValue>(std::move(read))).second) {
      problems.push_back({.message = fmt::format("setting parameter `{}`", text),
                          .cause = "it is given more than once"});
    }
  }
  for (const auto& [name, parameter] : declared) {
    if (values.contains(name) || wrong.contains(name)) continue;
    if (parameter.value) {
      values.emplace(name, *parameter.value);
    } else {
      problems.push_back({.file = parameter.place.file,
                          .line = parameter.place.line,
                          .message = fmt::format("parameter `{}` has no value", name.text()),
                          .cause = "it has no default, and none was given",
                          .hint = fmt::format("give one: --param {}=...", name.text())});
    }
  }
  if (!problems.empty()) throw InvalidPipeline(std::move(problems));
  return values;
}

}  // namespace rundlet::plans
