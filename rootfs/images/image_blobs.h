// Which blobs an image consists of, and keeping them (blob.h) for an export.
#pragma once

#include <vector>

#include "rootfs/formats/oci.h"
#include "rootfs/images/image.h"
#include "store/store.h"

namespace rundlet::rootfs {

KeptBlobs BlobsOf(const Descriptor& descriptor, const Manifest& manifest);
// Keeps the blobs from being removed; they need not be there yet.
std::vector<store::Lease> HoldBlobs(store::Store& store, const KeptBlobs& kept);
// Asked by whoever holds them.
bool AreThere(store::Store& store, const KeptBlobs& kept);

}  // namespace rundlet::rootfs
