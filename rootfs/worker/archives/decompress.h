// Streams of compressed bytes, decompressed as they are read: gzip of one or several members, and
// zstd of one or several frames with skippable ones between them (ADR 40).
//
// They throw base::Error (kInvalid), and what `read` throws.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "rootfs/worker/archives/tar_source.h"

namespace rundlet::rootfs::worker {

// Gives the next compressed bytes, valid until it is called again; none at the end.
using ReadCompressed = std::function<std::span<const std::byte>()>;

// What is behind the last member is not looked at.
std::unique_ptr<ByteSource> DecompressGzip(ReadCompressed read);
// Waits, if it must, until so much memory may be taken as only one decompressor of several should
// have; false when it may not.
using TakeTurn = std::function<bool()>;
// Refused where more than 32 MiB have to be remembered; for more than 8 MiB, `turn` is asked once.
std::unique_ptr<ByteSource> DecompressZstd(ReadCompressed read, TakeTurn turn);

}  // namespace rundlet::rootfs::worker
