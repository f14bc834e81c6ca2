// The directory of a zip archive: reading it, and holding it against the local headers. Used by
// zip.cc only.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "rootfs/worker/archives/zip.h"

namespace rundlet::rootfs::worker {

// The entries in the order of their bytes. Throws base::Error (kInvalid) as ZipReader says.
std::vector<ZipEntry> ReadZipDirectory(std::span<const std::byte> archive, const ZipLimits& limits);

}  // namespace rundlet::rootfs::worker
