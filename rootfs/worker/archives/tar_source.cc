#include "rootfs/worker/archives/tar_source.h"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "base/walls.h"
#include "rootfs/worker/archives/decompress.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kChunk = size_t{256} << 10;
constexpr size_t kMagic = 4;

base::Error Refuse(std::string why) {
  return base::Error(base::Fault::kInvalid, "reading an archive").Because(std::move(why));
}

size_t ReadSome(const BlobRange& blob, uint64_t position, std::span<std::byte> buffer) {
  const size_t wanted = std::min<uint64_t>(buffer.size(), blob.size - position);
  while (true) {
    const ssize_t count =
        blob.of == BlobRange::Of::kPipe
            ? read(blob.fd, buffer.data(), wanted)
            : pread(blob.fd, buffer.data(), wanted, static_cast<off_t>(blob.offset + position));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) base::ThrowErrno("reading an archive");
    if (count == 0 && wanted > 0) throw Refuse("it is shorter than was said");
    return static_cast<size_t>(count);
  }
}

Compression CompressionOf(std::span<const std::byte> start) {
  const auto starts_with = [&](std::initializer_list<unsigned> bytes) {
    return start.size() >= bytes.size() &&
           std::equal(bytes.begin(), bytes.end(), start.begin(),
                      [](unsigned a, std::byte b) { return a == std::to_integer<unsigned>(b); });
  };
  if (starts_with({0x1f, 0x8b, 0x08})) return Compression::kGzip;
  if (starts_with({0x28, 0xb5, 0x2f, 0xfd})) return Compression::kZstd;
  // A skippable frame comes first when several processors compressed it.
  for (unsigned number = 0; number < 16; ++number) {
    if (starts_with({0x50 + number, 0x2a, 0x4d, 0x18})) return Compression::kZstd;
  }
  return Compression::kNone;
}

}  // namespace

std::string_view NameOf(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "none";
    case Compression::kGzip:
      return "gzip";
    case Compression::kZstd:
      return "zstd";
  }
  return "";
}

struct BlobReader::State {
  BlobRange blob;
  BlobLimits limits;
  Digesting digesting;
  Progress progress;
  Compression compression = Compression::kNone;

  std::vector<std::byte> buffer = std::vector<std::byte>(kChunk);
  size_t peeked = 0;      // bytes at the front of the buffer that are still to be consumed
  uint64_t consumed = 0;  // of the blob
  uint64_t produced = 0;
  base::Sha256 blob_hash;
  base::Sha256 contents_hash;
  std::unique_ptr<ByteSource> decompressed;  // when compressed

  std::span<const std::byte> Peek() {
    while (peeked < std::min<uint64_t>(kMagic, blob.size)) {
      peeked += ReadSome(blob, peeked, std::span(buffer).subspan(peeked));
    }
    return std::span(buffer).first(peeked);
  }

  std::span<const std::byte> ReadBlob() {
    if (consumed == blob.size) return {};
    const size_t count = peeked != 0 ? peeked : ReadSome(blob, consumed, buffer);
    peeked = 0;
    const std::span<const std::byte> bytes(buffer.data(), count);
    consumed += bytes.size();
    if (digesting == Digesting::kBoth) blob_hash.Add(bytes);
    if (progress) progress(consumed);
    return bytes;
  }

  // Exactly one layer of compression is taken off: a gzip inside a gzip stays one.
  void Open() {
    compression = CompressionOf(Peek());
    const ReadCompressed read = [this] { return ReadBlob(); };
    if (compression == Compression::kGzip) decompressed = DecompressGzip(read);
    if (compression == Compression::kZstd)
      decompressed = DecompressZstd(read, [this] { return TakeTurn(); });
  }

  // Given back when the file is closed: when the worker ends, however it does.
  bool TakeTurn() const {
    int result = 0;
    while (limits.turn >= 0 && (result = flock(limits.turn, LOCK_EX)) < 0 && errno == EINTR) {
    }
    return result == 0;
  }

  void CheckLimits() const {
    if (produced > limits.bytes) {
      throw Refuse(fmt::format("it unpacks to more than {}", base::HumanBytes(limits.bytes)));
    }
    if (produced > limits.ratio_floor && produced / limits.ratio > consumed &&
        base::Holds(base::Wall::kRatio)) {
      throw Refuse(fmt::format("it unpacks to more than {} times its size", limits.ratio));
    }
  }
};

BlobReader::BlobReader(const BlobRange& blob, const BlobLimits& limits, Digesting digesting,
                       Progress progress)
    : state_(std::make_unique<State>()) {
  state_->blob = blob;
  state_->limits = limits;
  state_->digesting = digesting;
  state_->progress = std::move(progress);
  state_->Open();
}

BlobReader::~BlobReader() = default;

Compression BlobReader::compression() const { return state_->compression; }

std::span<const std::byte> BlobReader::Next() {
  State& state = *state_;
  const std::span<const std::byte> bytes =
      state.decompressed ? state.decompressed->Next() : state.ReadBlob();
  state.produced += bytes.size();
  state.CheckLimits();
  if (state.digesting != Digesting::kNo) state.contents_hash.Add(bytes);
  return bytes;
}

uint64_t BlobReader::Skip(uint64_t bytes) {
  State& state = *state_;
  if (state.compression != Compression::kNone || state.digesting != Digesting::kNo) return 0;
  if (state.peeked != 0) return 0;  // they are read already
  const uint64_t skipped = std::min(bytes, state.blob.size - state.consumed);
  state.consumed += skipped;
  state.produced += skipped;
  return skipped;
}

BlobReader::Totals BlobReader::Finish() {
  while (!Next().empty()) {
  }
  // A decompressor stops at the end of its own data; what is behind belongs to the blob's digest
  // too.
  while (!state_->ReadBlob().empty()) {
  }
  return {state_->blob_hash.Finish(), state_->contents_hash.Finish(), state_->produced};
}

base::Digest BlobReader::FinishBlob() {
  while (!state_->ReadBlob().empty()) {
  }
  return state_->blob_hash.Finish();
}

}  // namespace rundlet::rootfs::worker
