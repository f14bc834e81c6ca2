#include "rootfs/formats/reference.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

// The public registry, and the names under which others know it.
struct Defaults {
  std::string_view registry = "docker.io";
  std::string_view alias = "index.docker.io";
  std::string_view api_host = "registry-1.docker.io";
  std::string_view credential_server = "https://index.docker.io/v1/";
  std::string_view folder = "library/";
  std::string_view tag = "latest";
};
constexpr Defaults kDefaults;

constexpr size_t kNameLimit = 255;  // registry and repository together
constexpr size_t kTagLimit = 128;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

base::Error RefuseReference(std::string_view text, std::string why) {
  return base::Error(base::Fault::kInvalid, fmt::format("reading image reference `{}`",
                                                        base::Printable(text.substr(0, 300))))
      .Because(std::move(why))
      .Hint("a reference looks like `python:3.12-slim` or `registry.example:5000/team/image:tag`");
}

// "host" or "host:port"; labels of letters, digits and inner hyphens.
bool IsRegistry(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon != text.npos) {
    const std::string_view digits = text.substr(colon + 1);
    unsigned port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || end != digits.data() + digits.size() || port == 0 || port > 65535) {
      return false;
    }
  }
  for (const std::string& label : base::Split(text.substr(0, colon), '.')) {
    const bool fits = !label.empty() && label.front() != '-' && label.back() != '-' &&
                      std::all_of(label.begin(), label.end(),
                                  [](char c) { return IsLower(c) || IsDigit(c) || c == '-'; });
    if (!fits) return false;
  }
  return true;
}

// Runs of lower-case letters and digits, joined by ".", "_", "__" or any number of "-".
bool IsComponent(std::string_view text) {
  const auto is_word = [](char c) { return IsLower(c) || IsDigit(c); };
  size_t at = 0;
  while (at < text.size() && is_word(text[at])) {
    while (at < text.size() && is_word(text[at])) ++at;
    if (at == text.size()) return true;
    const size_t start = at;
    while (at < text.size() && !is_word(text[at])) ++at;
    const std::string_view joint = text.substr(start, at - start);
    if (joint != "." && joint != "_" && joint != "__" &&
        joint.find_first_not_of('-') != joint.npos) {
      return false;
    }
  }
  return false;
}

bool IsRepository(std::string_view text) {
  const std::vector<std::string> parts = base::Split(text, '/');
  return std::all_of(parts.begin(), parts.end(), IsComponent);
}

bool IsTag(std::string_view text) {
  const auto is_word = [](char c) { return IsLower(c) || IsUpper(c) || IsDigit(c) || c == '_'; };
  return !text.empty() && text.size() <= kTagLimit && is_word(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

}  // namespace

Reference ParseReference(std::string_view text) {
  Reference reference;
  std::string_view rest = text;
  if (const size_t at = rest.find('@'); at != rest.npos) {
    const std::string_view digest = rest.substr(at + 1);
    if (digest.starts_with("sha256:")) reference.digest = base::Digest::Parse(digest);
    if (!reference.digest) {
      throw RefuseReference(text,
                            "behind the `@` stands no sha256 digest (`sha256:` and 64 "
                            "lower-case hex digits)");
    }
    rest = rest.substr(0, at);
  }
  const size_t slash = rest.find('/');
  const std::string_view first = rest.substr(0, slash);
  const bool has_registry =
      slash != rest.npos && (first.find_first_of(".:") != first.npos || first == "localhost");
  reference.registry = has_registry ? base::LowerCase(first) : kDefaults.registry;
  if (reference.registry == kDefaults.alias) reference.registry = kDefaults.registry;
  if (!IsRegistry(reference.registry)) {
    throw RefuseReference(text, "its first part is no host name with an optional port");
  }
  if (has_registry) rest = rest.substr(slash + 1);
  if (const size_t colon = rest.rfind(':'); colon != rest.npos) {
    reference.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!IsTag(reference.tag)) {
      throw RefuseReference(text,
                            "its tag is not made of at most 128 letters, digits, `_`, `.` "
                            "and `-`, the first no `.` or `-`");
    }
  } else if (!reference.digest) {
    reference.tag = kDefaults.tag;
  }
  if (!IsRepository(rest)) {
    throw RefuseReference(text,
                          "its repository is not made of lower-case letters and digits, "
                          "joined by `.`, `_`, `-` and `/`");
  }
  reference.repository = rest;
  if (reference.registry == kDefaults.registry && rest.find('/') == rest.npos) {
    reference.repository.insert(0, kDefaults.folder);
  }
  if (reference.registry.size() + reference.repository.size() >= kNameLimit) {
    throw RefuseReference(text, fmt::format("its name has more than {} bytes", kNameLimit));
  }
  return reference;
}

std::string ShortName(const Reference& reference) {
  std::string name = reference.repository;
  if (reference.registry != kDefaults.registry) {
    name.insert(0, reference.registry + "/");
  } else if (name.starts_with(kDefaults.folder) &&
             name.find('/', kDefaults.folder.size()) == name.npos) {
    name.erase(0, kDefaults.folder.size());
  }
  if (!reference.tag.empty()) name += ":" + reference.tag;
  if (reference.digest) name += "@sha256:" + reference.digest->hex();
  return name;
}

std::string ApiHost(const Reference& reference) {
  return reference.registry == kDefaults.registry ? std::string(kDefaults.api_host)
                                                  : reference.registry;
}

std::string CredentialServer(const Reference& reference) {
  return reference.registry == kDefaults.registry ? std::string(kDefaults.credential_server)
                                                  : reference.registry;
}

}  // namespace rundlet::rootfs
