#include <fmt/format.h>
#include <zstd.h>

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "rootfs/worker/decompress.h"

namespace rundlet::rootfs::worker {
namespace {

// The most that a stream may want remembered, which is then memory of ours: 64 MiB. Registries'
// tools write 8 MiB.
constexpr int kWindowLog = 26;

base::Error NotZstd(const char* why) {
  return base::Error(base::Fault::kInvalid, "reading an archive")
      .Because(fmt::format("it is not valid zstd: {}", why));
}

struct StreamCloser {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

class Zstd : public ByteSource {
 public:
  explicit Zstd(ReadCompressed read)
      : read_(std::move(read)), piece_(ZSTD_DStreamOutSize()), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw NotZstd("out of memory");
    Check(ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kWindowLog));
  }

  std::span<const std::byte> Next() override {
    while (true) {
      if (input_.pos == input_.size) ReadMore();
      const bool input_ended = input_.size == 0;
      if (input_ended && wanted_ == 0) return {};
      ZSTD_outBuffer output = {piece_.data(), piece_.size(), 0};
      wanted_ = Check(ZSTD_decompressStream(stream_.get(), &output, &input_));
      if (output.pos != 0) return std::span(piece_).first(output.pos);
      if (input_ended) throw NotZstd("its end is missing");
    }
  }

 private:
  void ReadMore() {
    const std::span<const std::byte> bytes = read_();
    input_ = {bytes.data(), bytes.size(), 0};
  }

  static size_t Check(size_t result) {
    if (ZSTD_isError(result) == 0) return result;
    throw NotZstd(ZSTD_getErrorName(result));
  }

  const ReadCompressed read_;
  std::vector<std::byte> piece_;
  std::unique_ptr<ZSTD_DStream, StreamCloser> stream_;
  ZSTD_inBuffer input_ = {nullptr, 0, 0};
  size_t wanted_ = 0;  // 0 between frames
};

}  // namespace

std::unique_ptr<ByteSource> DecompressZstd(ReadCompressed read) {
  return std::make_unique<Zstd>(std::move(read));
}

}  // namespace rundlet::rootfs::worker
