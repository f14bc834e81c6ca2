#include <fmt/format.h>
#define ZSTD_STATIC_LINKING_ONLY  // for its allocator
#include <zstd.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "rootfs/worker/archives/decompress.h"

namespace rundlet::rootfs::worker {
namespace {

// The most that a stream may want remembered, which is then memory of ours: 32 MiB, the window of
// the strongest level that registries' tools have. They mostly write 8 MiB.
constexpr int kWindowLog = 25;
// What is beside the window of 8 MiB in the same piece of memory is less than 4 MiB.
constexpr size_t kLarge = size_t{12} << 20;

base::Error NotZstd(const char* why) {
  return base::Error(base::Fault::kInvalid, "reading an archive")
      .Because(fmt::format("it is not valid zstd: {}", why));
}

struct StreamCloser {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

class Zstd : public ByteSource {
 public:
  Zstd(ReadCompressed read, TakeTurn turn)
      : read_(std::move(read)),
        turn_(std::move(turn)),
        piece_(ZSTD_DStreamOutSize()),
        stream_(ZSTD_createDStream_advanced({Allocate, Free, this})) {
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
  static void* Allocate(void* self, size_t size) {
    auto& zstd = *static_cast<Zstd*>(self);
    if (size > kLarge && !zstd.has_turn_) {
      zstd.has_turn_ = zstd.turn_();
      if (!zstd.has_turn_) return nullptr;
    }
    return std::malloc(size);
  }

  static void Free(void*, void* memory) { std::free(memory); }

  void ReadMore() {
    const std::span<const std::byte> bytes = read_();
    input_ = {bytes.data(), bytes.size(), 0};
  }

  static size_t Check(size_t result) {
    if (ZSTD_isError(result) == 0) return result;
    throw NotZstd(ZSTD_getErrorName(result));
  }

  const ReadCompressed read_;
  const TakeTurn turn_;
  bool has_turn_ = false;
  std::vector<std::byte> piece_;
  std::unique_ptr<ZSTD_DStream, StreamCloser> stream_;
  ZSTD_inBuffer input_ = {nullptr, 0, 0};
  size_t wanted_ = 0;  // 0 between frames
};

}  // namespace

std::unique_ptr<ByteSource> DecompressZstd(ReadCompressed read, TakeTurn turn) {
  return std::make_unique<Zstd>(std::move(read), std::move(turn));
}

}  // namespace rundlet::rootfs::worker
