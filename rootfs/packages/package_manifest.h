// The regular files a store manifest lists. For trees that may hold nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/digest.h"
#include "store/store.h"

namespace rundlet::rootfs {

struct ManifestFile {
  uint64_t size = 0;
  base::Digest sha256;
  bool executable = false;
  bool operator==(const ManifestFile&) const = default;
};

// By path. Directories are left out. Throws base::Error (kInvalid) for links, hard links, special
// files and extended attributes, naming the path.
std::map<std::string, ManifestFile> FilesOf(const store::Manifest& manifest);

}  // namespace rundlet::rootfs
