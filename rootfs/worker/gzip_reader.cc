#include "rootfs/worker/gzip_reader.h"

#include <isa-l/igzip_lib.h>

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kPiece = size_t{256} << 10;
constexpr uint8_t kFirstOfMember = 0x1f;

base::Error NotGzip(const char* why) {
  return base::Error(base::Fault::kInvalid, "reading an archive")
      .Because(std::string("it is not valid gzip: ") + why);
}

const char* MeaningOf(int result) {
  switch (result) {
    case ISAL_INVALID_WRAPPER:
    case ISAL_UNSUPPORTED_METHOD:
      return "a header that is none";
    case ISAL_INCORRECT_CHECKSUM:
      return "the checksum is another";
    default:
      return "compressed data that cannot be";
  }
}

}  // namespace

struct GzipReader::State {
  Read read;
  inflate_state stream;
  bool input_ended = false;
  bool ended = false;
  std::vector<std::byte> piece = std::vector<std::byte>(kPiece);

  void ReadMore() {
    if (stream.avail_in != 0 || input_ended) return;
    const std::span<const std::byte> bytes = read();
    input_ended = bytes.empty();
    // ISA-L does not write there.
    stream.next_in = reinterpret_cast<uint8_t*>(const_cast<std::byte*>(bytes.data()));
    stream.avail_in = static_cast<uint32_t>(bytes.size());
  }

  // How many bytes came out: fewer than there is room for when it wants more, or a member ended.
  size_t Inflate() {
    stream.next_out = reinterpret_cast<uint8_t*>(piece.data());
    stream.avail_out = static_cast<uint32_t>(piece.size());
    const int result = isal_inflate(&stream);
    if (result < 0) throw NotGzip(MeaningOf(result));
    return piece.size() - stream.avail_out;
  }

  void BeginMember() {
    ReadMore();
    ended = stream.avail_in == 0 || *stream.next_in != kFirstOfMember;
    isal_inflate_reset(&stream);
    stream.crc_flag = ISAL_GZIP;
  }
};

GzipReader::GzipReader(Read read) : state_(std::make_unique<State>()) {
  state_->read = std::move(read);
  isal_inflate_init(&state_->stream);
  state_->BeginMember();
}

GzipReader::~GzipReader() = default;

std::span<const std::byte> GzipReader::Next() {
  State& state = *state_;
  while (!state.ended) {
    state.ReadMore();
    const size_t count = state.Inflate();
    if (state.stream.block_state == ISAL_BLOCK_FINISH) {
      state.BeginMember();
    } else if (count == 0 && state.input_ended) {
      throw NotGzip("its end is missing");
    }
    if (count != 0) return std::span(state.piece).first(count);
  }
  return {};
}

}  // namespace rundlet::rootfs::worker
