#include "plans/read/document.h"

#include <nlohmann/json.hpp>

#include "base/json/depth.h"

namespace rundlet::plans {
namespace {

using nlohmann::json;

constexpr size_t kMaxDocument = size_t{32}
                                << 20;  // bytes; in memory a document takes about ten times that

}  // namespace

void BadShape(std::string_view key, std::string_view fault) {
  throw BadField{BadField::Kind::kShape, fmt::format("`{}` {}", key, fault)};
}

void BeyondLimit(std::string_view key, std::string_view fault) {
  throw BadField{BadField::Kind::kLimit, fmt::format("`{}` {}", key, fault)};
}

json ParseDocument(std::string_view text, std::string_view what) {
  const auto refuse = [&](std::string cause) {
    throw base::Error(base::Fault::kInvalid, fmt::format("reading {}", what))
        .Because(std::move(cause));
  };
  if (text.size() > kMaxDocument) refuse("it is larger than 32 MiB");
  if (base::JsonDepth(text) > base::kMaxJsonDepth)
    refuse(fmt::format("it is nested more than {} deep", base::kMaxJsonDepth));
  try {
    return json::parse(text);
  } catch (const json::exception&) {
    refuse("it is not JSON");
    throw;  // not reached
  }
}

const json* OptionalMember(const json& object, const char* key) {
  if (!object.is_object()) BadShape(key, "is not in an object");
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const json& Member(const json& object, const char* key) {
  const json* const member = OptionalMember(object, key);
  if (member == nullptr) BadShape(key, "is missing");
  return *member;
}

const json& ListMember(const json& object, const char* key, size_t limit) {
  const json& list = Member(object, key);
  if (!list.is_array()) BadShape(key, "is not a list");
  if (list.size() > limit)
    BeyondLimit(key, fmt::format("has {} entries, more than {}", list.size(), limit));
  return list;
}

const json& ObjectMember(const json& object, const char* key, size_t limit) {
  const json& member = Member(object, key);
  if (!member.is_object()) BadShape(key, "is not an object");
  if (member.size() > limit) {
    BeyondLimit(key, fmt::format("has {} entries, more than {}", member.size(), limit));
  }
  return member;
}

std::string AsText(const json& value, const char* key, size_t limit) {
  const auto* const text = value.get_ptr<const std::string*>();
  if (text == nullptr) BadShape(key, "is not text");
  if (text->size() > limit) BeyondLimit(key, fmt::format("is longer than {} bytes", limit));
  if (text->find('\0') != std::string::npos) BeyondLimit(key, "holds a NUL");
  return *text;
}

std::string TextMember(const json& object, const char* key, size_t limit) {
  return AsText(Member(object, key), key, limit);
}

std::optional<std::string> OptionalTextMember(const json& object, const char* key, size_t limit) {
  const json* const member = OptionalMember(object, key);
  if (member == nullptr) return std::nullopt;
  return AsText(*member, key, limit);
}

std::vector<std::string> AsTexts(const json& list, const char* key, size_t text_limit) {
  std::vector<std::string> texts;
  texts.reserve(list.size());
  for (const json& entry : list) texts.push_back(AsText(entry, key, text_limit));
  return texts;
}

uint64_t WholeMember(const json& object, const char* key, uint64_t low, uint64_t high) {
  const json& member = Member(object, key);
  if (!member.is_number_integer()) BadShape(key, "is not a whole number");
  if (!member.is_number_unsigned() || member.get<uint64_t>() < low ||
      member.get<uint64_t>() > high) {
    BeyondLimit(key, fmt::format("is not between {} and {}", low, high));
  }
  return member.get<uint64_t>();
}

std::optional<double> OptionalNumberMember(const json& object, const char* key, double high) {
  const json* const member = OptionalMember(object, key);
  if (member == nullptr) return std::nullopt;
  if (!member->is_number()) BadShape(key, "is not a number");
  const double number = member->get<double>();
  if (!(number > 0 && number <= high))
    BeyondLimit(key, fmt::format("is not more than 0 and at most {}", high));
  return number;
}

uint32_t LineMember(const json& object, const char* key) {
  constexpr uint64_t kMaxLine = 1'000'000'000;
  return static_cast<uint32_t>(WholeMember(object, key, 0, kMaxLine));
}

}  // namespace rundlet::plans
