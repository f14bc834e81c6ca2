// What docker's config.json and containers' auth.json say about logging in to a registry. Pure: the
// file is read, and a helper run, by whoever owns them.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "rootfs/formats/reference.h"
#include "rootfs/formats/registry_login.h"

namespace rundlet::rootfs {

// The program docker-credential-<name> has it.
struct CredentialHelper {
  std::string name;  // letters, digits, ".", "_" and "-"
  bool operator==(const CredentialHelper&) const = default;
};
using LoginSource = std::variant<std::monostate, RegistryLogin, CredentialHelper>;

// A helper for this very registry first, then what the file itself has (the longest part of the
// repository's name that it has an entry for), then the helper for all. `file` is for messages.
// Throws base::Error (kInvalid), which quotes nothing of the content.
LoginSource FindLogin(std::string_view text, const std::string& file, const Reference& reference);

// What a helper printed for `get`. Throws base::Error (kInvalid).
RegistryLogin ParseHelperAnswer(std::string_view text, const std::string& helper);

}  // namespace rundlet::rootfs
