#include "rootfs/worker/archives/tar_header.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs::worker {
namespace {

base::Error RefuseHeader(std::string why) {
  return base::Error(base::Fault::kInvalid, "reading a tar header").Because(std::move(why));
}

std::string_view Field(const TarBlock& block, size_t offset, size_t length) {
  return {reinterpret_cast<const char*>(block.data()) + offset, length};
}

// Text up to the first NUL; a field without one is full.
std::string TextField(const TarBlock& block, size_t offset, size_t length) {
  const std::string_view field = Field(block, offset, length);
  return std::string(field.substr(0, field.find('\0')));
}

// Base-256: the first bit marks it, the second is the sign, the rest is a two's complement number.
int64_t ParseBinary(std::string_view field, std::string_view what) {
  const bool negative = (static_cast<unsigned char>(field[0]) & 0x40) != 0;
  uint64_t value = negative ? ~uint64_t{0} : 0;
  for (size_t i = 0; i < field.size(); ++i) {
    unsigned byte = static_cast<unsigned char>(field[i]);
    if (i == 0) byte = negative ? (byte | 0x80) : (byte & 0x7f);
    // What is shifted out must be nothing but copies of the sign, and so must the sign bit stay.
    const uint64_t top = value >> 55;
    if (top != (negative ? uint64_t{0x1ff} : 0)) {
      throw RefuseHeader(fmt::format("the {} is too large", what));
    }
    value = (value << 8) | byte;
  }
  return static_cast<int64_t>(value);
}

int64_t ParseNumber(std::string_view field, std::string_view what) {
  if (!field.empty() && (static_cast<unsigned char>(field[0]) & 0x80) != 0) {
    return ParseBinary(field, what);
  }
  while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
  const size_t end = field.find_first_of(std::string_view(" \0", 2));
  const std::string_view digits = field.substr(0, end);
  const std::string_view rest = end == field.npos ? std::string_view() : field.substr(end);
  if (rest.find_first_not_of(std::string_view(" \0", 2)) != rest.npos) {
    throw RefuseHeader(fmt::format("the {} is not a number", what));
  }
  int64_t value = 0;  // at most 12 digits of 3 bits each
  for (const char digit : digits) {
    if (digit < '0' || digit > '7') throw RefuseHeader(fmt::format("the {} is not a number", what));
    value = value * 8 + (digit - '0');
  }
  return value;
}

// The sum of all bytes, with the sum's own field as spaces. Some old programs added signed bytes.
void CheckSum(const TarBlock& block) {
  constexpr size_t kStart = 148;
  constexpr size_t kLength = 8;
  int64_t plain = 0;
  int64_t with_signs = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    const bool own = i >= kStart && i < kStart + kLength;
    const unsigned byte = own ? unsigned{' '} : std::to_integer<unsigned>(block[i]);
    plain += byte;
    with_signs += static_cast<signed char>(byte);
  }
  const int64_t stated = ParseNumber(Field(block, kStart, kLength), "checksum");
  if (stated != plain && stated != with_signs) {
    throw RefuseHeader("its checksum is wrong: this is no tar archive, or it is damaged");
  }
}

// Only ustar has a prefix of 155 bytes; star keeps times in the last 24 of them; GNU tar and the
// programs before POSIX have none. Whether another magic counts as ustar, programs disagree on; and
// Python takes what lies there for a prefix whatever the magic says, but for GNU's sparse files.
std::string Prefix(const TarBlock& block) {
  const std::string_view magic = Field(block, 257, 8);
  const bool gnu = magic == std::string_view("ustar  \0", 8);
  if (gnu || !magic.starts_with("ustar")) {
    const bool sparse = gnu && block[156] == std::byte{'S'};
    if (block[345] != std::byte{0} && !sparse) {
      throw RefuseHeader("it has a prefix, which its format does not have");
    }
    return "";
  }
  if (!magic.starts_with(std::string_view("ustar\0", 6)))
    throw RefuseHeader("its format is not known");
  const bool star = Field(block, 508, 4) == std::string_view("tar\0", 4);
  std::string prefix = TextField(block, 345, 155);
  if (star && prefix.size() >= 131) throw RefuseHeader("its prefix runs into star's times");
  return prefix;
}

}  // namespace

bool IsZeroBlock(const TarBlock& block) {
  return std::all_of(block.begin(), block.end(),
                     [](std::byte byte) { return byte == std::byte{0}; });
}

uint64_t ParseTarNumber(std::string_view field, std::string_view what) {
  const int64_t value = ParseNumber(field, what);
  if (value < 0) throw RefuseHeader(fmt::format("the {} is negative", what));
  return static_cast<uint64_t>(value);
}

TarHeader ParseTarHeader(const TarBlock& block) {
  CheckSum(block);
  TarHeader header;
  header.path = TextField(block, 0, 100);
  const std::string prefix = Prefix(block);
  if (!prefix.empty()) header.path = prefix + "/" + header.path;
  header.mode = static_cast<uint32_t>(ParseTarNumber(Field(block, 100, 8), "mode") & 07777);
  header.uid = ParseTarNumber(Field(block, 108, 8), "user id");
  header.gid = ParseTarNumber(Field(block, 116, 8), "group id");
  header.size = ParseTarNumber(Field(block, 124, 12), "size");
  header.mtime = ParseNumber(Field(block, 136, 12), "modification time");
  header.type = static_cast<char>(block[156]);
  header.link = TextField(block, 157, 100);
  return header;
}

}  // namespace rundlet::rootfs::worker
