// Writing an image as an OCI image layout, with the very blobs it came with.
#pragma once

#include <cstdint>
#include <functional>

#include "base/cancel.h"
#include "base/new_directory.h"
#include "rootfs/images/image.h"
#include "store/store.h"

namespace rundlet::rootfs {

using ExportProgress = std::function<void(uint64_t done, uint64_t total)>;  // bytes

struct Exported {
  size_t blobs = 0;
  uint64_t bytes = 0;
};

// Fills and finishes the directory. Every blob is hashed on its way; one that was altered in the
// store is an error, is removed from it, and nothing is written. Throws base::Error (kInvalid: its
// blobs are not kept), Cancelled.
Exported ExportImage(store::Store& store, const Image& image, NewDirectory& target,
                     const ExportProgress& progress, const base::CancelToken* cancel);

}  // namespace rundlet::rootfs
