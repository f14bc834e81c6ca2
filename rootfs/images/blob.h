// Blobs of images as they came: compressed layers, manifests and configs, kept in the store for an
// export (ADR 35). An entry's key is the blob's digest, its tree one file. All functions throw
// base::Error.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/cancel.h"
#include "base/digest.h"
#include "base/fd.h"
#include "rootfs/images/layer.h"
#include "store/store.h"

namespace rundlet::rootfs {

enum class KeepBlobs { kNo, kYes };

// A kept blob, open.
struct OpenBlob {
  base::UniqueFd file;
  uint64_t size = 0;
  FileRange range() const { return {file.get(), 0, size}; }
};
OpenBlob OpenKeptBlob(store::Store& store, const base::Digest& digest);

// Hands the range's bytes on, piece by piece, and throws (kInvalid) when they turn out to be others
// than `digest` says. Throws Cancelled.
using BlobSink = std::function<void(std::string_view piece)>;
void CopyBlob(const FileRange& from, const base::Digest& digest, const BlobSink& sink,
              const base::CancelToken* cancel);

// Puts a blob into the store: copied from the range, and compared with its digest. `label` is for
// people. The caller holds its make lease.
struct BlobName {
  base::Digest digest;
  std::string label;
};
void KeepBlob(store::Store& store, const FileRange& from, const BlobName& name,
              const base::CancelToken* cancel);
// The same unless it is there; takes the make lease. The caller holds a use lease.
void EnsureBlob(store::Store& store, const FileRange& from, const BlobName& name,
                const base::CancelToken* cancel);

}  // namespace rundlet::rootfs
