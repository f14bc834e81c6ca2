// What an ELF file asks the dynamic loader for. For 64-bit little-endian files: x86-64 and aarch64.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace rundlet::rootfs::worker {

struct ElfNeeds {
  std::string soname;               // its own name; empty: none
  std::vector<std::string> needed;  // sonames of libraries, in the file's order
  bool operator==(const ElfNeeds&) const = default;
};

// Nothing for a file that is not ELF, is for another kind of machine, is not linked dynamically, or
// lies about itself: such a file is nobody's library. Names that no file can have are left out.
// Reads nothing outside `file`.
std::optional<ElfNeeds> ReadElfNeeds(std::span<const std::byte> file);

}  // namespace rundlet::rootfs::worker
