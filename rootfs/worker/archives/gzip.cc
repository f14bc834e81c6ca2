// By ISA-L, which takes less than half of zlib's time.
#include <isa-l/igzip_lib.h>

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "rootfs/worker/archives/decompress.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kPiece = size_t{256} << 10;
// RFC 1952, 2.3
constexpr uint8_t kFirstOfMember = 0x1f;
constexpr uint8_t kSecondOfMember = 0x8b;
constexpr uint8_t kDeflate = 8;
constexpr unsigned kHeaderChecksum = 2;
constexpr unsigned kExtra = 4;
constexpr unsigned kName = 8;
constexpr unsigned kComment = 16;
constexpr unsigned kReserved = 0xe0;

base::Error NotGzip(const char* why) {
  return base::Error(base::Fault::kInvalid, "reading an archive")
      .Because(std::string("it is not valid gzip: ") + why);
}

const char* MeaningOf(int result) {
  return result == ISAL_INCORRECT_CHECKSUM ? "the checksum is another"
                                           : "compressed data that cannot be";
}

class Gzip : public ByteSource {
 public:
  explicit Gzip(ReadCompressed read) : read_(std::move(read)), piece_(kPiece) {
    isal_inflate_init(&stream_);
    BeginMember();
  }

  std::span<const std::byte> Next() override {
    while (!ended_) {
      ReadMore();
      const size_t count = Inflate();
      if (stream_.block_state == ISAL_BLOCK_FINISH) {
        BeginMember();
      } else if (count == 0 && input_ended_) {
        throw NotGzip("its end is missing");
      }
      if (count != 0) return std::span(piece_).first(count);
    }
    return {};
  }

 private:
  void ReadMore() {
    if (stream_.avail_in != 0 || input_ended_) return;
    const std::span<const std::byte> bytes = read_();
    input_ended_ = bytes.empty();
    // ISA-L does not write there.
    stream_.next_in = reinterpret_cast<uint8_t*>(const_cast<std::byte*>(bytes.data()));
    stream_.avail_in = static_cast<uint32_t>(bytes.size());
  }

  // How many bytes came out: fewer than there is room for when it wants more, or a member ended.
  size_t Inflate() {
    stream_.next_out = reinterpret_cast<uint8_t*>(piece_.data());
    stream_.avail_out = static_cast<uint32_t>(piece_.size());
    const int result = isal_inflate(&stream_);
    if (result < 0) throw NotGzip(MeaningOf(result));
    return piece_.size() - stream_.avail_out;
  }

  void BeginMember() {
    ReadMore();
    ended_ = stream_.avail_in == 0 || *stream_.next_in != kFirstOfMember;
    if (ended_) return;
    PassHeader();
    isal_inflate_reset(&stream_);
    stream_.crc_flag = ISAL_GZIP_NO_HDR_VER;
  }

  // Not by ISA-L, which computes a header's checksum wrongly when it comes in pieces. It guards
  // nothing of the content.
  void PassHeader() {
    Byte();
    if (Byte() != kSecondOfMember || Byte() != kDeflate) throw NotGzip("a header that is none");
    const unsigned flags = Byte();
    if ((flags & kReserved) != 0) throw NotGzip("a header that is none");
    for (int i = 0; i < 6; ++i) Byte();  // time, level, system
    if ((flags & kExtra) != 0) {
      const unsigned low = Byte();
      const unsigned size = low | unsigned{Byte()} << 8;
      for (unsigned i = 0; i < size; ++i) Byte();
    }
    for (const unsigned text : {kName, kComment}) {
      while ((flags & text) != 0 && Byte() != 0) {
      }
    }
    for (int i = 0; (flags & kHeaderChecksum) != 0 && i < 2; ++i) Byte();
  }

  uint8_t Byte() {
    ReadMore();
    if (stream_.avail_in == 0) throw NotGzip("its end is missing");
    --stream_.avail_in;
    return *stream_.next_in++;
  }

  const ReadCompressed read_;
  std::vector<std::byte> piece_;
  inflate_state stream_ = {};
  bool input_ended_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> DecompressGzip(ReadCompressed read) {
  return std::make_unique<Gzip>(std::move(read));
}

}  // namespace rundlet::rootfs::worker
