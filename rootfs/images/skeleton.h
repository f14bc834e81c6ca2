// The topmost layer of every image's root: constant, made by us, so that a sandbox's mount points
// and a few files in /etc are what we say, whatever the image has in their places (links included).
#pragma once

#include <string>

#include "store/store.h"

namespace rundlet::rootfs {

// A skeleton in the store, kept from being pruned while this lives.
struct HeldSkeleton {
  std::string key;
  store::Lease lease;
};

// Finds or makes it. Directories: /proc /dev /sys /tmp /run /env /work /out /image
// /rundlet/{python,in,out}. Files: passwd and group (root 0, step 1000 with home /tmp/home, nobody
// 65534), hosts, hostname, nsswitch.conf and an empty resolv.conf, over which a sandbox with a
// network gets another. Throws base::Error.
HeldSkeleton EnsureSkeleton(store::Store& store);

// The key of the one that this program uses.
std::string SkeletonKey();

}  // namespace rundlet::rootfs
