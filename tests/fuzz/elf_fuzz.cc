// ELF files: nobody's library, or names that can be printed and compared.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "rootfs/worker/wheels/elf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto needs = rundlet::rootfs::worker::ReadElfNeeds(std::as_bytes(std::span(data, size)));
  if (!needs.has_value()) return 0;
  const auto is_plain = [](const std::string& name) {
    return name.size() <= 255 && std::all_of(name.begin(), name.end(), [](char c) {
             return c > 0x20 && c < 0x7f && c != '/';
           });
  };
  if (!is_plain(needs->soname)) std::abort();
  for (const std::string& name : needs->needed) {
    if (name.empty() || !is_plain(name)) std::abort();
  }
  return 0;
}
