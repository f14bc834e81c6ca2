// The copy of a layer's blob that is written while the layer is fetched and unpacked: a pull that
// is killed goes on from it, and an image's blobs are kept from it.
//
// A file cache/downloads/<digest> of the state directory, which outlives the process. It is only a
// beginning of what the digest names, and nobody believes it: whoever goes on from it hashes it
// first. All functions throw base::Error.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/cancel.h"
#include "base/fd.h"
#include "rootfs/formats/oci.h"
#include "rootfs/images/blob.h"
#include "store/store.h"

namespace rundlet::rootfs {

// While it lives nobody else downloads the same blob into a copy.
class BlobDownload {
 public:
  // Waits for whoever downloads it. Without `keep` there is a copy only of blobs that take long to
  // fetch again, and only where the disk has room for it beside the unpacked layer.
  BlobDownload(store::Store& store, const Descriptor& blob, KeepBlobs keep,
               const base::CancelToken* cancel);

  int file() const { return file_.get(); }  // -1: no copy is made
  uint64_t had() const { return had_; }     // bytes of an earlier pull

 private:
  std::optional<store::Lease> make_;
  base::UniqueFd file_;
  uint64_t had_ = 0;
};

// When the layer is unpacked, or will never be.
void DropDownload(store::Store& store, const base::Digest& blob);
// Removes those that nobody wrote to for so long.
void SweepDownloads(store::Store& store, std::chrono::seconds unused_for);

}  // namespace rundlet::rootfs
