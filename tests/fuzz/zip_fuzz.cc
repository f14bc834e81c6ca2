// Zip archives: refused in words, or read completely within the limits.
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "rootfs/formats/wheel_paths.h"
#include "rootfs/worker/archives/zip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rundlet::rootfs;  // NOLINT(build/namespaces): a program of one function
  constexpr uint64_t kLimit = uint64_t{16} << 20;
  try {
    const worker::ZipReader reader(std::as_bytes(std::span(data, size)),
                                   {.entries = 1000, .bytes = kLimit});
    uint64_t total = 0;
    for (const worker::ZipEntry& entry : reader.entries()) {
      reader.Read(entry, [&](std::span<const std::byte> piece) { total += piece.size(); });
      if (total > kLimit) std::abort();
      CheckArchivePath(entry.path);
    }
  } catch (const rundlet::base::Error& error) {
    if (error.Render().find('\x1b') != std::string::npos) std::abort();
  }
  return 0;
}
