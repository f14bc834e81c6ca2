// The launcher's own mount namespace: a small tmpfs, so that a sandbox's clone copies a handful of
// mounts instead of the host's, and no host file has a name in it.
//
//   /proc      the host's procfs: writing id maps, and the kernel's proof that procfs may be
//   mounted in a sandbox /store     the state directory /dev       the device files of every
//   sandbox, made by us, read-only /root      where a sandbox attaches its root /scratch   where
//   the scratch memory of the sandbox being started is attached /ids/BASE  the store with owners
//   shifted to the id range at BASE /layers/N  overlays kept for sandboxes to come
#pragma once

#include "base/fd.h"

namespace rundlet::runtime {

// Leaves the caller in the new root. `store` is a detached mount. Throws base::Error.
void EnterPrivateRoot(base::UniqueFd store);

}  // namespace rundlet::runtime
