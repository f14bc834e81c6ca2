// unpack-layer: a layer's blob, a tar archive plain or compressed, becomes a directory tree.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "rootfs/worker/archives/tar_source.h"
#include "rootfs/worker/archives/tree_writer.h"

namespace rundlet::rootfs::worker {

struct UnpackedLayer {
  Compression compression = Compression::kNone;
  BlobReader::Totals totals;
  TreeReport tree;
};

// Reads the blob once: hashes it before (unless it comes from a pipe) and after decompression and
// writes its entries beneath `out`, an empty directory. Whoever compares the digests does it
// afterwards; until then the tree is not to be used. Throws base::Error; then the tree is half
// made.
UnpackedLayer UnpackInto(int out, const BlobRange& blob, const BlobLimits& blob_limits,
                         const TreeLimits& tree_limits, BlobReader::Progress progress = {});

// The command: {"offset", "size", "pipe", "item", "blob", "diff_id"} of `file` -> the tree at
// `out`, with its turn (BlobLimits); what it found as JSON (rootfs/images/layer.cc). "blob" (may be
// empty) and "diff_id" are what the bytes should hash to: for the message when they cannot be
// unpacked.
nlohmann::json UnpackLayerTo(int out, int file, int turn, const nlohmann::json& request);

}  // namespace rundlet::rootfs::worker
