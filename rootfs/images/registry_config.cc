#include "rootfs/images/registry_config.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/base64.h"
#include "base/error.h"
#include "base/json/fields.h"

namespace rundlet::rootfs {
namespace {

using nlohmann::json;

constexpr size_t kSecretLimit = size_t{64} << 10;

// "https://index.docker.io/v1/" and "index.docker.io" are one key.
std::string WithoutScheme(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  }
  while (key.ends_with('/')) key.remove_suffix(1);
  for (const std::string_view version : {"/v1", "/v2"}) {
    if (key.ends_with(version)) key.remove_suffix(version.size());
  }
  return std::string(key);
}

// Under which an entry may stand, the most particular first.
std::vector<std::string> KeysOf(const Reference& reference) {
  std::vector<std::string> keys;
  std::string name = reference.registry + "/" + reference.repository;
  while (true) {
    keys.push_back(name);
    const size_t slash = name.rfind('/');
    if (slash == name.npos) break;
    name.resize(slash);
  }
  for (const std::string& other :
       {WithoutScheme(CredentialServer(reference)), ApiHost(reference)}) {
    if (std::find(keys.begin(), keys.end(), other) == keys.end()) keys.push_back(other);
  }
  return keys;
}

// The entry of an object that belongs to the reference.
const json* EntryOf(const json& object, const Reference& reference) {
  for (const std::string& key : KeysOf(reference)) {
    for (const auto& [name, value] : object.items()) {
      if (WithoutScheme(name) == key) return &value;
    }
  }
  return nullptr;
}

// Without the words of the parser, which quote what it stumbled over.
json ParseQuietly(std::string_view text, const base::DocumentOrigin& origin) {
  if (!json::accept(text)) throw base::Error(origin.fault, origin.what).Because("it is not JSON");
  return base::ParseJson(text, origin);
}

CredentialHelper Helper(const std::string& name, const base::Fields& fields) {
  const bool fits = std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
  if (name.empty() || !fits) throw fields.Refuse("it names a credential helper that cannot be one");
  return {name};
}

RegistryLogin LoginFrom(const base::Fields& entry) {
  RegistryLogin login;
  login.identity_token = entry.TextOrEmpty("identitytoken", kSecretLimit);
  const std::string both = entry.TextOrEmpty("auth", kSecretLimit);
  if (both.empty()) {
    login.user = entry.TextOrEmpty("username");
    login.password = entry.TextOrEmpty("password", kSecretLimit);
    return login;
  }
  const std::optional<std::string> decoded = base::DecodeBase64(both);
  const size_t colon = decoded ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos || decoded->find('\0') != decoded->npos) {
    throw entry.Refuse("an `auth` is not the base64 of `USER:PASSWORD`");
  }
  login.user = decoded->substr(0, colon);
  login.password = decoded->substr(colon + 1);
  return login;
}

bool IsEmpty(const RegistryLogin& login) {
  return login.user.empty() && login.identity_token.empty();
}

}  // namespace

LoginSource FindLogin(std::string_view text, const std::string& file, const Reference& reference) {
  const base::DocumentOrigin origin{fmt::format("reading credentials in `{}`", file),
                                    base::Fault::kInvalid};
  const json document = ParseQuietly(text, origin);
  const base::Fields fields(document, origin);
  if (fields.Has("credHelpers")) {
    const base::Fields helpers = fields.Object("credHelpers");
    const json* helper = EntryOf(document.at("credHelpers"), reference);
    if (helper != nullptr) return Helper(TextOf(*helper, origin), helpers);
  }
  if (fields.Has("auths")) {
    fields.Object("auths");  // throws when it is none
    const json* entry = EntryOf(document.at("auths"), reference);
    // Docker leaves an empty entry where a helper has the secret.
    if (entry != nullptr) {
      RegistryLogin login = LoginFrom(base::Fields(*entry, origin));
      if (!IsEmpty(login)) return login;
    }
  }
  const std::string all = fields.TextOrEmpty("credsStore");
  if (!all.empty()) return Helper(all, fields);
  return std::monostate();
}

RegistryLogin ParseHelperAnswer(std::string_view text, const std::string& helper) {
  const base::DocumentOrigin origin{
      fmt::format("reading the answer of credential helper `{}`", helper), base::Fault::kInvalid};
  const json document = ParseQuietly(text, origin);
  const base::Fields fields(document, origin);
  const std::string user = fields.TextOrEmpty("Username");
  const std::string secret = fields.TextOrEmpty("Secret", kSecretLimit);
  if (user == "<token>") return {"", "", secret};
  return {user, secret, ""};
}

}  // namespace rundlet::rootfs
