#include "rootfs/worker/archives/zip.h"

#include <zlib.h>

#include <array>

#include "base/error.h"
#include "base/text.h"
#include "rootfs/worker/archives/zip_directory.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kPiece = size_t{256} << 10;

[[noreturn]] void Refuse(const ZipEntry& entry, std::string cause) {
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("reading `{}` of a zip archive", base::Printable(entry.path)))
      .Because(std::move(cause));
}

// Counts and sums what passes, so that a lying header is noticed before it fills a disk.
class CheckedSink {
 public:
  CheckedSink(const ZipEntry& entry, const ZipReader::Sink& sink) : entry_(entry), sink_(sink) {}

  void Take(std::span<const std::byte> piece) {
    if (piece.empty()) return;
    if (piece.size() > entry_.size - taken_) Refuse(entry_, "it is longer than its header says");
    taken_ += piece.size();
    crc_ = crc32_z(crc_, reinterpret_cast<const Bytef*>(piece.data()), piece.size());
    sink_(piece);
  }

  void Finish() const {
    if (taken_ != entry_.size) Refuse(entry_, "it is shorter than its header says");
    if (crc_ != entry_.crc) Refuse(entry_, "its checksum does not agree with its header");
  }

 private:
  const ZipEntry& entry_;
  const ZipReader::Sink& sink_;
  uint64_t taken_ = 0;
  uLong crc_ = 0;
};

// A raw deflate stream (no zlib header).
class Inflater {
 public:
  Inflater() {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) {
      throw base::Error(base::Fault::kHost, "starting to inflate a file").Because("out of memory");
    }
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  void Run(const ZipEntry& entry, std::span<const std::byte> packed, CheckedSink& sink) {
    std::vector<std::byte> buffer(kPiece);
    int status = Z_OK;
    while (status != Z_STREAM_END) {
      if (stream_.avail_in == 0) Feed(packed);
      stream_.next_out = reinterpret_cast<Bytef*>(buffer.data());
      stream_.avail_out = static_cast<uInt>(buffer.size());
      status = inflate(&stream_, Z_NO_FLUSH);
      const size_t made = buffer.size() - stream_.avail_out;
      sink.Take(std::span(buffer.data(), made));
      const bool stuck = made == 0 && stream_.avail_in == 0 && packed.empty();
      if (status != Z_STREAM_END && (status != Z_OK || stuck))
        Refuse(entry, "its compressed data is damaged");
    }
    if (stream_.avail_in != 0 || !packed.empty()) Refuse(entry, "bytes follow its compressed data");
  }

 private:
  // avail_in is 32 bits wide; files are not.
  void Feed(std::span<const std::byte>& packed) {
    const auto piece = packed.first(std::min(packed.size(), size_t{1} << 30));
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(piece.data()));
    stream_.avail_in = static_cast<uInt>(piece.size());
    packed = packed.subspan(piece.size());
  }

  z_stream stream_{};
};

}  // namespace

ZipReader::ZipReader(std::span<const std::byte> archive, const ZipLimits& limits)
    : archive_(archive), entries_(ReadZipDirectory(archive, limits)) {}

void ZipReader::Read(const ZipEntry& entry, const Sink& sink) const {
  std::span<const std::byte> packed = archive_.subspan(entry.data, entry.packed);
  CheckedSink checked(entry, sink);
  if (entry.deflated) {
    Inflater().Run(entry, packed, checked);
  } else {
    while (!packed.empty()) {
      const auto piece = packed.first(std::min(packed.size(), kPiece));
      checked.Take(piece);
      packed = packed.subspan(piece.size());
    }
  }
  checked.Finish();
}

std::string ZipReader::ReadText(const ZipEntry& entry, uint64_t limit) const {
  if (entry.size > limit)
    Refuse(entry, fmt::format("it is larger than {}", base::HumanBytes(limit)));
  std::string text;
  Read(entry, [&](std::span<const std::byte> piece) {
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  return text;
}

}  // namespace rundlet::rootfs::worker
