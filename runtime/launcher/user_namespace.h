// User namespaces: writing their id maps, and one that exists only to shift a mount's owners.
#pragma once

#include <sys/types.h>

#include "base/fd.h"
#include "runtime/spec/sandbox_spec.h"

namespace rundlet::runtime {

// Maps 0 .. count-1 of the user namespace of `pid` to the range. False with errno set when the
// kernel refuses.
bool WriteIdMap(pid_t pid, const IdRange& ids);

// A namespace with that map and no process, for MOUNT_ATTR_IDMAP.
base::UniqueFd NamespaceForMounts(const IdRange& ids);

}  // namespace rundlet::runtime
