#include "rootfs/images/image_blobs.h"

#include <algorithm>

namespace rundlet::rootfs {

KeptBlobs BlobsOf(const Descriptor& descriptor, const Manifest& manifest) {
  KeptBlobs kept{descriptor.media_type, {descriptor.digest}};
  const auto add = [&](const base::Digest& digest) {
    // An image may have a layer twice.
    const bool there = std::find(kept.blobs.begin(), kept.blobs.end(), digest) != kept.blobs.end();
    if (!there) kept.blobs.push_back(digest);
  };
  add(manifest.config.digest);
  for (const Descriptor& layer : manifest.layers) add(layer.digest);
  return kept;
}

std::vector<store::Lease> HoldBlobs(store::Store& store, const KeptBlobs& kept) {
  std::vector<store::Lease> leases;
  for (const base::Digest& blob : kept.blobs) {
    leases.push_back(store.Use(store::Kind::kBlob, blob.hex()));
  }
  return leases;
}

bool AreThere(store::Store& store, const KeptBlobs& kept) {
  return std::all_of(kept.blobs.begin(), kept.blobs.end(), [&](const base::Digest& blob) {
    return store.Find(store::Kind::kBlob, blob.hex()).has_value();
  });
}

}  // namespace rundlet::rootfs
