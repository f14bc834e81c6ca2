#include "rootfs/worker/wheels/elf.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kSegmentLimit = 256;
constexpr size_t kDynamicLimit = 4096;  // entries
constexpr size_t kNameLimit = 255;      // a file's name

using Bytes = std::span<const std::byte>;

// A copy: what is in the file need not be aligned.
template <typename T>
std::optional<T> ReadElfValue(Bytes file, uint64_t offset) {
  if (offset > file.size() || file.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

bool IsOurKind(const Elf64_Ehdr& header) {
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
         header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == ELFDATA2LSB &&
         header.e_phentsize == sizeof(Elf64_Phdr) && header.e_phnum <= kSegmentLimit;
}

std::vector<Elf64_Phdr> Segments(Bytes file, const Elf64_Ehdr& header) {
  std::vector<Elf64_Phdr> segments;
  if (header.e_phoff > file.size()) return segments;
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = ReadElfValue<Elf64_Phdr>(file, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment.has_value()) break;
    segments.push_back(*segment);
  }
  return segments;
}

// Where in the file the loader finds an address.
std::optional<uint64_t> OffsetOf(const std::vector<Elf64_Phdr>& segments, uint64_t address) {
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type != PT_LOAD || address < segment.p_vaddr) continue;
    const uint64_t inside = address - segment.p_vaddr;
    if (inside < segment.p_filesz && segment.p_offset <= UINT64_MAX - inside)
      return segment.p_offset + inside;
  }
  return std::nullopt;
}

struct DynamicPart {
  std::vector<uint64_t> needed;  // offsets into the strings
  std::optional<uint64_t> soname;
  uint64_t strings = 0;  // address
  uint64_t strings_size = 0;
};

DynamicPart ReadDynamic(Bytes file, const Elf64_Phdr& segment) {
  DynamicPart part;
  const uint64_t count = std::min<uint64_t>(segment.p_filesz / sizeof(Elf64_Dyn), kDynamicLimit);
  if (segment.p_offset > file.size()) return part;
  for (uint64_t i = 0; i < count; ++i) {
    const auto entry = ReadElfValue<Elf64_Dyn>(file, segment.p_offset + i * sizeof(Elf64_Dyn));
    if (!entry.has_value() || entry->d_tag == DT_NULL) break;
    if (entry->d_tag == DT_NEEDED) part.needed.push_back(entry->d_un.d_val);
    if (entry->d_tag == DT_SONAME) part.soname = entry->d_un.d_val;
    if (entry->d_tag == DT_STRTAB) part.strings = entry->d_un.d_ptr;
    if (entry->d_tag == DT_STRSZ) part.strings_size = entry->d_un.d_val;
  }
  return part;
}

std::string NameAt(std::string_view strings, uint64_t offset) {
  if (offset >= strings.size()) return {};
  const std::string_view rest = strings.substr(offset, kNameLimit + 1);
  const size_t end = rest.find('\0');
  if (end == rest.npos) return {};
  const std::string_view name = rest.substr(0, end);
  const bool plain = std::all_of(name.begin(), name.end(),
                                 [](char c) { return c > 0x20 && c < 0x7f && c != '/'; });
  return plain ? std::string(name) : std::string();
}

}  // namespace

std::optional<ElfNeeds> ReadElfNeeds(Bytes file) {
  const auto header = ReadElfValue<Elf64_Ehdr>(file, 0);
  if (!header.has_value() || !IsOurKind(*header)) return std::nullopt;
  const std::vector<Elf64_Phdr> segments = Segments(file, *header);
  const auto dynamic = std::find_if(segments.begin(), segments.end(),
                                    [](const Elf64_Phdr& one) { return one.p_type == PT_DYNAMIC; });
  if (dynamic == segments.end()) return std::nullopt;
  const DynamicPart part = ReadDynamic(file, *dynamic);
  const std::optional<uint64_t> start = OffsetOf(segments, part.strings);
  if (!start.has_value() || *start > file.size()) return std::nullopt;
  const uint64_t size = std::min<uint64_t>(part.strings_size, file.size() - *start);
  const std::string_view strings(reinterpret_cast<const char*>(file.data()) + *start, size);
  ElfNeeds needs;
  if (part.soname.has_value()) needs.soname = NameAt(strings, *part.soname);
  for (const uint64_t offset : part.needed) {
    if (std::string name = NameAt(strings, offset); !name.empty())
      needs.needed.push_back(std::move(name));
  }
  return needs;
}

}  // namespace rundlet::rootfs::worker
