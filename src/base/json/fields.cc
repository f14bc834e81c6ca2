#include "base/json/fields.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "base/text.h"

namespace rundlet::base {
namespace {

using nlohmann::json;

constexpr int kDepth = 64;

Error RefuseDocument(const DocumentOrigin& origin, std::string why) {
  return Error(origin.fault, origin.what).Because(std::move(why));
}

}  // namespace

DocumentOrigin AnswerOf(std::string_view command) {
  return {fmt::format("reading the answer of worker `{}`", command)};
}

json ParseJson(std::string_view bytes, const DocumentOrigin& origin) {
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > kDepth) throw RefuseDocument(origin, "it is nested too deeply");
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      throw RefuseDocument(origin,
                           fmt::format("`{}` is there twice", Printable(value.get<std::string>())));
    }
    return true;
  };
  try {
    return json::parse(bytes, check);
  } catch (const json::exception& error) {
    throw RefuseDocument(origin, fmt::format("it is not JSON: {}", Printable(error.what())));
  }
}

std::string TextOf(const json& value, const DocumentOrigin& origin, size_t limit) {
  if (!value.is_string()) throw RefuseDocument(origin, "a text is something else");
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > limit) throw RefuseDocument(origin, "a text is too long");
  if (text.find('\0') != text.npos) throw RefuseDocument(origin, "a text holds a NUL byte");
  return text;
}

Digest DigestOf(const json& value, const DocumentOrigin& origin) {
  const std::string text = TextOf(value, origin);
  if (const auto digest = Digest::Parse(text)) return *digest;
  throw RefuseDocument(origin, fmt::format("`{}` is no sha256 digest", Printable(text)));
}

Fields::Fields(const json& object, const DocumentOrigin& origin)
    : object_(object), origin_(origin) {
  if (!object.is_object()) throw Refuse("an object is something else");
}

Error Fields::Refuse(std::string why) const { return RefuseDocument(origin_, std::move(why)); }

bool Fields::Has(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

const json& Fields::At(const char* key) const {
  if (!Has(key)) throw Refuse(fmt::format("`{}` is missing", key));
  return *object_.find(key);
}

std::string Fields::Text(const char* key, size_t limit) const {
  std::string text = TextOf(At(key), origin_, limit);
  if (text.empty()) throw Refuse(fmt::format("`{}` is empty", key));
  return text;
}

std::string Fields::TextOrEmpty(const char* key, size_t limit) const {
  return Has(key) ? TextOf(At(key), origin_, limit) : "";
}

uint64_t Fields::Number(const char* key) const {
  const json& value = At(key);
  const bool whole =
      value.is_number_unsigned() || (value.is_number_integer() && value.get<int64_t>() >= 0);
  if (!whole) throw Refuse(fmt::format("`{}` is no whole number", key));
  return value.get<uint64_t>();
}

bool Fields::Flag(const char* key) const {
  const json& value = At(key);
  if (!value.is_boolean()) throw Refuse(fmt::format("`{}` is neither true nor false", key));
  return value.get<bool>();
}

Digest Fields::DigestAt(const char* key) const { return DigestOf(At(key), origin_); }

const json& Fields::List(const char* key, size_t limit) const {
  const json& value = At(key);
  if (!value.is_array()) throw Refuse(fmt::format("`{}` is no list", key));
  if (value.size() > limit) throw Refuse(fmt::format("`{}` has more than {} elements", key, limit));
  return value;
}

std::vector<std::string> Fields::TextsOrEmpty(const char* key, size_t limit) const {
  std::vector<std::string> texts;
  if (!Has(key)) return texts;
  for (const json& value : List(key, limit)) texts.push_back(TextOf(value, origin_, 128 << 10));
  return texts;
}

Fields Fields::Object(const char* key) const { return Fields(At(key), origin_); }

}  // namespace rundlet::base
