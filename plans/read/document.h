// Private: reading JSON documents that outsiders made, field by field.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace rundlet::plans {

// A field that is of the wrong type, missing, or beyond a limit. Never leaves plans/: whoever knows
// where the field came from turns it into a problem of the user's, or refuses the document.
struct BadField {
  enum class Kind { kShape, kLimit };  // kLimit: the author of the project can cause it
  Kind kind;
  std::string text;  // "`columns` is not a list"
};

// Refuses documents that are over-long, over-deep, or no JSON. Throws base::Error (kInvalid).
nlohmann::json ParseDocument(std::string_view text, std::string_view what);

// The functions below throw BadField. `object` must be an object; limits are in bytes and entries.
const nlohmann::json& Member(const nlohmann::json& object, const char* key);
// As Member; nullptr when the member is absent or null.
const nlohmann::json* OptionalMember(const nlohmann::json& object, const char* key);
const nlohmann::json& ListMember(const nlohmann::json& object, const char* key, size_t limit);
const nlohmann::json& ObjectMember(const nlohmann::json& object, const char* key, size_t limit);
// Text holds no NUL.
std::string AsText(const nlohmann::json& value, const char* key, size_t limit);
std::string TextMember(const nlohmann::json& object, const char* key, size_t limit);
std::optional<std::string> OptionalTextMember(const nlohmann::json& object, const char* key,
                                              size_t limit);
// Texts of a list; none is longer than `text_limit`.
std::vector<std::string> AsTexts(const nlohmann::json& list, const char* key, size_t text_limit);
uint64_t WholeMember(const nlohmann::json& object, const char* key, uint64_t low, uint64_t high);
// More than 0, at most `high`.
std::optional<double> OptionalNumberMember(const nlohmann::json& object, const char* key,
                                           double high);
uint32_t LineMember(const nlohmann::json& object, const char* key);

[[noreturn]] void BadShape(std::string_view key, std::string_view fault);
[[noreturn]] void BeyondLimit(std::string_view key, std::string_view fault);

}  // namespace rundlet::plans
