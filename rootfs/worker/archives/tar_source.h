// Where a tar reader gets its bytes: a stream read once, from front to back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "base/digest.h"

namespace rundlet::rootfs::worker {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // The next bytes, valid until the next call; empty at the end. Throws base::Error.
  virtual std::span<const std::byte> Next() = 0;
  // Passes over up to `bytes` bytes without looking at them and says how many; 0 when it cannot.
  virtual uint64_t Skip(uint64_t /*bytes*/) { return 0; }
};

enum class Compression { kNone, kGzip, kZstd };
std::string_view NameOf(Compression compression);  // "none", "gzip", "zstd"

// Part of an open regular file, read with pread, so that several readers may share the descriptor;
// or all that comes out of a pipe.
struct BlobRange {
  int fd = -1;
  uint64_t offset = 0;  // in a file
  uint64_t size = 0;
  enum class Of { kFile, kPipe };
  Of of = Of::kFile;
};

// How much a blob may grow when it is decompressed, and what it may take.
struct BlobLimits {
  uint64_t bytes = uint64_t{64} << 30;
  uint64_t ratio = 250;                        // bytes out for each byte in,
  uint64_t ratio_floor = uint64_t{256} << 20;  // beyond these
  // A file that whoever decompresses locks before it takes much memory; -1: nobody else does.
  int turn = -1;
};

enum class Digesting { kNo, kContents, kBoth };

// A blob, decompressed if its first bytes say gzip or zstd. It hashes every byte that comes out,
// and with kBoth every byte of the blob, also those behind the end of whatever reads from it.
// Borrows the descriptor.
class BlobReader : public ByteSource {
 public:
  using Progress = std::function<void(uint64_t consumed)>;
  BlobReader(const BlobRange& blob, const BlobLimits& limits, Digesting digesting,
             Progress progress = {});
  ~BlobReader() override;

  std::span<const std::byte> Next() override;
  uint64_t Skip(uint64_t bytes) override;

  Compression compression() const;
  struct Totals {
    base::Digest blob;      // of the bytes as they came; with kBoth
    base::Digest contents;  // of the bytes after decompression; an image's "diff id"
    uint64_t bytes = 0;     // after decompression
  };
  // Reads what is left, to the very end of the blob. Call once, last.
  Totals Finish();
  // Instead of Finish, when what came out was no good: the digest of the whole blob.
  base::Digest FinishBlob();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rundlet::rootfs::worker
