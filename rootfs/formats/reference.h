// References: which image of which registry, as people write it.
//
//   [REGISTRY/]REPOSITORY[:TAG][@sha256:DIGEST]
//
// The first part is a registry when it holds a "." or a ":" or is "localhost"; without one the
// public registry is meant, and there a repository without a folder lies in "library". Pure: no
// network, no settings.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"

namespace rundlet::rootfs {

struct Reference {
  std::string registry;    // host and port, in lower case: "docker.io", "localhost:5000"
  std::string repository;  // "library/python"
  std::string tag;         // empty only when there is a digest
  std::optional<base::Digest> digest;
  bool operator==(const Reference&) const = default;
};

// Throws base::Error (kInvalid) that says what is wrong with it.
Reference ParseReference(std::string_view text);

// The shortest text that means the same, with its tag: "python:3.12-slim". An image is kept under
// this name, however it was asked for.
std::string ShortName(const Reference& reference);

// The host that serves the registry's API.
std::string ApiHost(const Reference& reference);

// What the registry is called in files with credentials and asked for from credential helpers.
std::string CredentialServer(const Reference& reference);

}  // namespace rundlet::rootfs
