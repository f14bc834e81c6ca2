// The mount system calls as the launcher uses them: descriptors in and out, base::Error on failure.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"

namespace rundlet::runtime {

using MountOptions = std::vector<std::pair<std::string, std::string>>;

// A new file system as a detached mount. `attributes` are MOUNT_ATTR_*.
base::UniqueFd NewFileSystem(const char* type, const MountOptions& options, uint64_t attributes);
// A detached clone of the mount, directory or file at `path` (relative to `dir`, in this process's
// namespace; "" for `dir` itself). Only for paths we made: links on the way are followed.
base::UniqueFd CloneTree(int dir, const std::string& path);
// Sets and clears MOUNT_ATTR_* on a detached mount and what is mounted below it.
void SetAttributes(int mount, uint64_t set, uint64_t clear);
// Maps a detached mount's owners through a user namespace (MOUNT_ATTR_IDMAP).
void MapOwners(int mount, int user_namespace);
void Attach(int mount, const std::string& path);

}  // namespace rundlet::runtime
