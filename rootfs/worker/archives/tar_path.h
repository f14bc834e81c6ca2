// Paths of an archive as paths beneath a root.
#pragma once

#include <cstddef>
#include <string>

namespace rundlet::rootfs::worker {

// Without leading slash and "." components; "." for the root itself. Throws base::Error (kInvalid)
// for "..", names of more than 255 bytes, paths of more than 4095, and more than `depth_limit`
// components.
std::string CleanPath(const std::string& path, size_t depth_limit);

// Of a clean path: "." and "a" for "a".
std::string ParentOf(const std::string& path);
std::string BaseOf(const std::string& path);

}  // namespace rundlet::rootfs::worker
