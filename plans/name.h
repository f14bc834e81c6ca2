// The names a pipeline gives to things, each kind a type of its own.
#pragma once

#include <algorithm>
#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace rundlet::plans {

constexpr size_t kMaxNameLength = 128;

constexpr bool IsAsciiLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }

// [A-Za-z_][A-Za-z0-9_]{0,127}: names become file names, environment variables and SQL identifiers.
constexpr bool IsIdentifier(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameLength && !IsAsciiDigit(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAsciiLetter(c) || IsAsciiDigit(c) || c == '_'; });
}

// [A-Za-z0-9][A-Za-z0-9._-]{0,127}: also has room for "3.11".
constexpr bool IsLabel(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameLength &&
         (IsAsciiLetter(text.front()) || IsAsciiDigit(text.front())) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return IsAsciiLetter(c) || IsAsciiDigit(c) || c == '_' || c == '.' || c == '-';
         });
}

// Text that was checked against the grammar of its kind. Empty when default constructed, which
// means "none".
template <typename Tag>
class Name {
 public:
  Name() = default;
  static std::optional<Name> Parse(std::string_view text) {
    if (!Tag::Matches(text)) return std::nullopt;
    return Name(std::string(text));
  }

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const Name&) const = default;

 private:
  explicit Name(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

struct StepTag {
  static constexpr bool Matches(std::string_view text) { return IsIdentifier(text); }
};
struct TableTag {
  static constexpr bool Matches(std::string_view text) { return IsIdentifier(text); }
};
struct ParameterTag {
  static constexpr bool Matches(std::string_view text) { return IsIdentifier(text); }
};
struct ImageTag {
  static constexpr bool Matches(std::string_view text) { return IsLabel(text); }
};

using StepName = Name<StepTag>;    // a model or an expectation; a model's table has its name
using TableName = Name<TableTag>;  // a source table: [tables.NAME]
using ParameterName = Name<ParameterTag>;  // [parameters.NAME]
using ImageName = Name<ImageTag>;          // a key of [images], not an image's reference

}  // namespace rundlet::plans
