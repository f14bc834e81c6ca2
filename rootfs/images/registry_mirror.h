// Mirrors: registries that serve the images of another one, for hosts that reach that one badly or
// not at all. The administrator names them. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rootfs/formats/reference.h"
#include "rootfs/formats/registry_login.h"

namespace rundlet::rootfs {

struct RegistryMirror {
  std::string registry;  // whose images it has: "docker.io"
  std::string host;      // "mirror.example:5000"
  std::string folder;    // what its repositories begin with: "hub/"; may be empty
  RegistryTransport transport = RegistryTransport::kHttps;
  bool operator==(const RegistryMirror&) const = default;
};

// "docker.io=https://mirror.example/hub, quay.io=http://localhost:5000": those of one registry in
// the order in which they are asked. Throws base::Error (kInvalid).
std::vector<RegistryMirror> ParseMirrors(std::string_view text);

// What the mirror calls an image of its registry.
Reference AtMirror(const Reference& reference, const RegistryMirror& mirror);

}  // namespace rundlet::rootfs
