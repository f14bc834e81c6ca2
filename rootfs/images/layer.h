// Layers in the store: each unpacked once, by diff id, whatever images share it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/cancel.h"
#include "base/digest.h"
#include "base/fd.h"
#include "rootfs/worker_client.h"
#include "store/store.h"

namespace rundlet::rootfs {

// Part of an open regular file, which somebody else keeps open.
struct FileRange {
  int fd = -1;
  uint64_t offset = 0;
  uint64_t size = 0;
};

// Writes a layer's blob into a pipe and returns when its last byte was seen, also when the reader
// went away before. Throws base::Error, too, when the blob is not what its descriptor says.
using BlobStream = std::function<void(int pipe, const ProgressCallback& progress,
                                      const base::CancelToken* cancel)>;

struct LayerSource {
  base::Digest diff_id;
  FileRange blob;     // with a stream: only its size
  BlobStream stream;  // when the bytes are not in a file; they are fetched while they are unpacked
  std::optional<base::Digest> blob_digest;  // absent in docker's archives
  std::string compression;  // what the media type says: "none", "gzip", "zstd"; empty: not said
  std::string label;        // for people: "python:3.11-slim, layer 2 of 4"
};

enum class LayerState { kPresent, kWaiting, kUnpacking, kDone };
using LayerProgress = std::function<void(LayerState state, uint64_t done, uint64_t total)>;

// A layer in the store, kept from being pruned while this lives.
struct HeldLayer {
  bool hides_lower = false;  // an opaque root: nothing of the layers below shows through
  store::Lease lease;
};

// Of the layers that are unpacked at once, one at a time may be of a kind that takes much memory to
// decompress. Whose turn it is, workers find out among themselves: by a lock, which the kernel
// drops with its holder.
class LargeWindow {
 public:
  LargeWindow();
  // A file to lock, one a worker.
  base::UniqueFd ForWorker() const;

 private:
  base::UniqueFd file_;
};

// Finds the layer, or waits for whoever makes it, or unpacks it in a worker, compares both digests
// with what the image says, and commits it. `worker` is asked from the calling thread, and from one
// more that runs a stream. Throws
// base::Error, also for a layer that is not what the image says; then nothing of it stays. Throws
// base::Cancelled.
HeldLayer EnsureLayer(store::Store& store, WorkerClient& worker, const LayerSource& source,
                      const LargeWindow& window, const LayerProgress& progress,
                      const base::CancelToken* cancel);

}  // namespace rundlet::rootfs
