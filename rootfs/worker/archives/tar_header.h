// One 512-byte header block of a tar archive, by POSIX (ustar, pax) and GNU tar.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rundlet::rootfs::worker {

constexpr size_t kTarBlock = 512;
using TarBlock = std::array<std::byte, kTarBlock>;

struct TarHeader {
  std::string path;  // with the prefix of ustar
  std::string link;
  char type = '0';
  uint32_t mode = 0;
  uint64_t uid = 0;
  uint64_t gid = 0;
  uint64_t size = 0;  // as this block says; a pax header may overrule it
  int64_t mtime = 0;
};

bool IsZeroBlock(const TarBlock& block);

// Throws base::Error (kInvalid) when the checksum is wrong or a number is none. Numbers are octal,
// or binary as GNU tar writes what octal cannot hold.
TarHeader ParseTarHeader(const TarBlock& block);
// One of its numbers, which must not be negative; `what` is for the error.
uint64_t ParseTarNumber(std::string_view field, std::string_view what);

}  // namespace rundlet::rootfs::worker
