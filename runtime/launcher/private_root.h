// The launcher's own mount namespace: a small tmpfs, in which no host file has a name.
//
//   /proc      the host's procfs: writing id maps
//   /store     the state directory
//   /dev       the device files of every sandbox, made by us, read-only
//   /root      where an overlay is mounted by name
//   /scratch   where the scratch memory of the sandbox being started is attached
//   /ids/BASE  the store with owners shifted to the id range at BASE
//   /layers/N  overlays kept for sandboxes to come
//
// And the bare one, of which that of every sandbox is a copy: what is in it stays below the
// sandbox's root for as long as the sandbox lives, where only the kernel sees it.
//
//   /proc      no process can be seen in it; the kernel's proof that procfs may be mounted there
//   /dev/null  what masks a file
//   /dev/pts   what masks a directory
#pragma once

#include "base/fd.h"

namespace rundlet::runtime {

struct MountNamespaces {
  base::UniqueFd own;
  base::UniqueFd bare;
};

// Leaves the caller in its own. `store` is a detached mount. Throws base::Error.
MountNamespaces EnterPrivateRoot(base::UniqueFd store);

}  // namespace rundlet::runtime
