// Compressed streams, gzip and zstd: refused, or read to the same end whatever the size of the
// pieces they come in. (libzstd looks closer at a damaged frame that it has whole.)
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "rootfs/worker/archives/decompress.h"
#include "tests/fuzz/check.h"

namespace {

using namespace rundlet::rootfs::worker;  // NOLINT(build/namespaces): a program of one function
using rundlet::fuzz::Require;

constexpr size_t kEnough = 1 << 20;  // bytes that come out; their sizes are others' to limit

using Decompress = std::unique_ptr<ByteSource>(ReadCompressed read);

std::optional<std::string> Unpack(Decompress decompress, std::string_view input, size_t piece) {
  const auto read = [&] {
    const std::string_view now = input.substr(0, piece);
    input.remove_prefix(now.size());
    return std::as_bytes(std::span(now.data(), now.size()));
  };
  std::string all;
  try {
    const std::unique_ptr<ByteSource> source = decompress(read);
    for (auto bytes = source->Next(); !bytes.empty(); bytes = source->Next()) {
      all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      if (all.size() >= kEnough) return all.substr(0, kEnough);
    }
    Require(source->Next().empty());
  } catch (const rundlet::base::Error& error) {
    Require(error.fault() == rundlet::base::Fault::kInvalid);
    return std::nullopt;
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto zstd = [](ReadCompressed read) {
    return DecompressZstd(std::move(read), [] { return true; });
  };
  for (Decompress* decompress : std::initializer_list<Decompress*>{DecompressGzip, zstd}) {
    const std::optional<std::string> whole = Unpack(decompress, input, input.size());
    for (const size_t piece : {1u, 7u, 100u}) {
      const std::optional<std::string> pieces = Unpack(decompress, input, piece);
      Require(!whole || !pieces || *pieces == *whole);
    }
  }
  return 0;
}
