// Reading JSON field by field: every value is looked at for type and size before it is used.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/error.h"

namespace rundlet::base {

// Who wrote a document, and so whose fault it is when it is wrong: kInvalid for a user's image and
// for a worker's answer (who took it over is an outsider), kHost for our own records.
struct DocumentOrigin {
  std::string what;  // "reading the image's index"
  Fault fault = Fault::kInvalid;
};
// What `command` of rundlet-worker answers.
DocumentOrigin AnswerOf(std::string_view command);

// Strict: one value, valid UTF-8, no key twice in an object, at most 64 levels. Throws Error.
nlohmann::json ParseJson(std::string_view bytes, const DocumentOrigin& origin);

// A view of a JSON object; borrows it and the origin. Every function throws Error when a
// field is not what it should be. A null counts as absent.
class Fields {
 public:
  Fields(const nlohmann::json& object, const DocumentOrigin& origin);

  bool Has(const char* key) const;
  std::string Text(const char* key, size_t limit = 4096) const;         // not empty, no NUL
  std::string TextOrEmpty(const char* key, size_t limit = 4096) const;  // absent: ""
  uint64_t Number(const char* key) const;
  bool Flag(const char* key) const;
  Digest DigestAt(const char* key) const;
  const nlohmann::json& List(const char* key, size_t limit) const;
  std::vector<std::string> TextsOrEmpty(const char* key, size_t limit) const;  // absent: {}
  Fields Object(const char* key) const;

  Error Refuse(std::string why) const;

 private:
  const nlohmann::json& At(const char* key) const;

  const nlohmann::json& object_;
  const DocumentOrigin& origin_;
};

// One value as a text or a digest, for the elements of lists.
std::string TextOf(const nlohmann::json& value, const DocumentOrigin& origin, size_t limit = 4096);
Digest DigestOf(const nlohmann::json& value, const DocumentOrigin& origin);

}  // namespace rundlet::base
