#include "rootfs/worker/archives/zip_directory.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/text.h"
#include "base/walls.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr uint32_t kLocal = 0x04034b50;
constexpr uint32_t kCentral = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kLocator64 = 0x07064b50;
constexpr uint32_t kDescriptor = 0x08074b50;
constexpr uint64_t kEndSize = 22;
constexpr uint64_t kEnd64Size = 56;
constexpr uint64_t kLocator64Size = 20;

constexpr uint16_t kHasDescriptor = 1u << 3;
constexpr uint16_t kUtf8 = 1u << 11;
constexpr uint16_t kKnownFlags =
    kHasDescriptor | kUtf8 | (1u << 1) | (1u << 2);  // 1, 2: how hard deflate tried

constexpr uint16_t kExtra64 = 0x0001;
constexpr uint16_t kExtraUnicodePath = 0x7075;

[[noreturn]] void Refuse(std::string cause) {
  throw base::Error(base::Fault::kInvalid, "reading a zip archive's directory")
      .Because(std::move(cause));
}

// Little-endian integers at checked places.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, uint64_t at) : bytes_(bytes), at_(at) {}

  uint16_t U16() { return static_cast<uint16_t>(Integer(2)); }
  uint32_t U32() { return static_cast<uint32_t>(Integer(4)); }
  uint64_t U64() { return Integer(8); }
  std::string_view Bytes(uint64_t count) {
    Need(count);
    const auto* start = reinterpret_cast<const char*>(bytes_.data() + at_);
    at_ += count;
    return {start, static_cast<size_t>(count)};
  }
  void Skip(uint64_t count) { Bytes(count); }
  uint64_t at() const { return at_; }

 private:
  void Need(uint64_t count) const {
    if (at_ > bytes_.size() || bytes_.size() - at_ < count) Refuse("it is cut short");
  }
  uint64_t Integer(unsigned count) {
    Need(count);
    uint64_t value = 0;
    for (unsigned i = 0; i < count; ++i) {
      value |= std::to_integer<uint64_t>(bytes_[at_ + i]) << (8 * i);
    }
    at_ += count;
    return value;
  }

  std::span<const std::byte> bytes_;
  uint64_t at_;
};

struct Directory {
  uint64_t entries = 0;
  uint64_t offset = 0;
  uint64_t size = 0;
  uint64_t end = 0;  // where it must end
};

Directory ReadEnd64(std::span<const std::byte> archive, uint64_t locator_at) {
  Cursor locator(archive, locator_at);
  locator.Skip(4);
  if (locator.U32() != 0) Refuse("it is split over several disks");
  const uint64_t end_at = locator.U64();
  if (locator_at < kEnd64Size || end_at != locator_at - kEnd64Size)
    Refuse("its zip64 end is misplaced");
  Cursor end(archive, end_at);
  if (end.U32() != kEnd64 || end.U64() != kEnd64Size - 12) Refuse("its zip64 end is damaged");
  end.Skip(4);  // versions
  if (end.U32() != 0 || end.U32() != 0) Refuse("it is split over several disks");
  Directory directory;
  const uint64_t here = end.U64();
  directory.entries = end.U64();
  if (here != directory.entries) Refuse("it is split over several disks");
  directory.size = end.U64();
  directory.offset = end.U64();
  directory.end = end_at;
  return directory;
}

// Small values are said in both ends; a saturated one stands for the 64-bit value.
void CheckAgree(uint64_t small, uint64_t saturated, uint64_t large) {
  if (small != saturated && small != large) Refuse("its two ends disagree");
}

Directory ReadEnd(std::span<const std::byte> archive) {
  if (archive.size() < kEndSize) Refuse("it is too short to be one");
  const uint64_t end_at = archive.size() - kEndSize;
  Cursor end(archive, end_at);
  // An archive comment would let two readers find two different ends; wheels have none.
  if (end.U32() != kEnd) Refuse("it does not end as one (damaged, or bytes follow its end)");
  if (end.U16() != 0 || end.U16() != 0) Refuse("it is split over several disks");
  const uint16_t here = end.U16();
  const uint16_t entries = end.U16();
  const uint32_t size = end.U32();
  const uint32_t offset = end.U32();
  if (here != entries) Refuse("it is split over several disks");
  if (end.U16() != 0) Refuse("it has a comment");
  Directory directory{entries, offset, size, end_at};
  const bool has64 =
      end_at >= kLocator64Size && Cursor(archive, end_at - kLocator64Size).U32() == kLocator64;
  if (has64) {
    directory = ReadEnd64(archive, end_at - kLocator64Size);
    CheckAgree(entries, 0xffff, directory.entries);
    CheckAgree(size, 0xffffffff, directory.size);
    CheckAgree(offset, 0xffffffff, directory.offset);
  }
  if (directory.offset > directory.end || directory.end - directory.offset != directory.size) {
    Refuse("its directory is not where its end says");
  }
  return directory;
}

struct Header {
  uint16_t flags = 0;
  uint16_t method = 0;
  uint32_t crc = 0;
  uint64_t packed = 0;
  uint64_t size = 0;
  uint64_t offset = 0;
  std::string_view name;
};

// Replaces saturated sizes by the zip64 extra field's. `offset` is null for local headers, which
// have none.
void ApplyExtra(std::string_view extra, Header& header, uint64_t* offset, bool& has64) {
  const auto bytes = std::as_bytes(std::span(extra.data(), extra.size()));
  Cursor cursor(bytes, 0);
  while (bytes.size() - cursor.at() >= 4) {
    const uint16_t id = cursor.U16();
    const std::string_view field = cursor.Bytes(cursor.U16());
    if (id == kExtraUnicodePath) Refuse("an entry has a second name");
    if (id != kExtra64) continue;
    if (has64) Refuse("an entry has two zip64 fields");
    has64 = true;
    Cursor values(std::as_bytes(std::span(field.data(), field.size())), 0);
    if (header.size == 0xffffffff) header.size = values.U64();
    if (header.packed == 0xffffffff) header.packed = values.U64();
    if (offset != nullptr && *offset == 0xffffffff) *offset = values.U64();
  }
}

void CheckKnown(const Header& header) {
  if ((header.flags & ~kKnownFlags) != 0) Refuse("an entry is encrypted or uses unknown features");
  if (header.method != 0 && header.method != 8)
    Refuse("an entry is compressed by an unknown method");
  const bool ascii = std::all_of(header.name.begin(), header.name.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (!ascii && (header.flags & kUtf8) == 0) Refuse("a name is not declared to be UTF-8");
}

bool IsExecutable(uint32_t attributes, std::string_view name) {
  const uint32_t mode = attributes >> 16;
  const bool directory = name.ends_with('/');
  const uint32_t type = mode & S_IFMT;
  if (type != 0 && type != (directory ? S_IFDIR : S_IFREG)) {
    Refuse(fmt::format("`{}` is a link or a special file", base::Printable(name)));
  }
  return !directory && (mode & 0111) != 0;
}

Header ReadCentral(Cursor& cursor, uint32_t& attributes) {
  if (cursor.U32() != kCentral) Refuse("an entry is damaged");
  cursor.Skip(4);  // versions
  Header header;
  header.flags = cursor.U16();
  header.method = cursor.U16();
  cursor.Skip(4);  // time
  header.crc = cursor.U32();
  header.packed = cursor.U32();
  header.size = cursor.U32();
  const uint16_t name_size = cursor.U16();
  const uint16_t extra_size = cursor.U16();
  const uint16_t comment_size = cursor.U16();
  if (cursor.U16() != 0) Refuse("it is split over several disks");
  cursor.Skip(2);  // internal attributes
  attributes = cursor.U32();
  header.offset = cursor.U32();
  header.name = cursor.Bytes(name_size);
  bool has64 = false;
  ApplyExtra(cursor.Bytes(extra_size), header, &header.offset, has64);
  cursor.Skip(comment_size);
  CheckKnown(header);
  return header;
}

// After the data of an entry whose sizes were not known when its local header was written. Its
// signature is optional and its sizes are 4 or 8 bytes wide: the one form that agrees with the
// directory is found by trying.
uint64_t SkipDescriptor(std::span<const std::byte> archive, uint64_t at, const Header& header) {
  for (const bool signature : {true, false}) {
    for (const bool wide : {false, true}) {
      const uint64_t length = (signature ? 4u : 0u) + 4u + (wide ? 16u : 8u);
      if (archive.size() - at < length) continue;
      Cursor cursor(archive, at);
      if (signature && cursor.U32() != kDescriptor) continue;
      if (cursor.U32() != header.crc) continue;
      const uint64_t packed = wide ? cursor.U64() : cursor.U32();
      const uint64_t size = wide ? cursor.U64() : cursor.U32();
      if (packed == header.packed && size == header.size) return cursor.at();
    }
  }
  Refuse("an entry's data descriptor disagrees with the directory");
}

// Holds a local header against the directory's; returns where the entry ends.
uint64_t CheckLocal(std::span<const std::byte> archive, const Header& header, uint64_t limit,
                    ZipEntry& entry) {
  Cursor cursor(archive, header.offset);
  if (cursor.U32() != kLocal) Refuse("a local header is missing");
  cursor.Skip(2);  // version
  Header local;
  local.flags = cursor.U16();
  local.method = cursor.U16();
  cursor.Skip(4);  // time
  local.crc = cursor.U32();
  local.packed = cursor.U32();
  local.size = cursor.U32();
  const uint16_t name_size = cursor.U16();
  const uint16_t extra_size = cursor.U16();
  local.name = cursor.Bytes(name_size);
  bool has64 = false;
  ApplyExtra(cursor.Bytes(extra_size), local, nullptr, has64);
  const bool later = (header.flags & kHasDescriptor) != 0;
  const bool zeros = later && local.crc == 0 && local.packed == 0 && local.size == 0;
  const bool same =
      local.crc == header.crc && local.packed == header.packed && local.size == header.size;
  if (local.flags != header.flags || local.method != header.method || local.name != header.name ||
      !(same || zeros)) {
    Refuse(fmt::format("`{}` has two headers that disagree", base::Printable(header.name)));
  }
  entry.data = cursor.at();
  if (entry.data > limit || header.packed > limit - entry.data)
    Refuse("an entry reaches into the directory");
  const uint64_t end = entry.data + header.packed;
  return later ? SkipDescriptor(archive, end, header) : end;
}

ZipEntry AsEntry(const Header& header, uint32_t attributes) {
  ZipEntry entry;
  entry.executable = IsExecutable(attributes, header.name);
  entry.directory = header.name.ends_with('/');
  entry.path = header.name.substr(0, header.name.size() - (entry.directory ? 1 : 0));
  entry.deflated = header.method == 8;
  entry.crc = header.crc;
  entry.packed = header.packed;
  entry.size = header.size;
  if (!entry.deflated && entry.packed != entry.size) Refuse("a stored entry has two sizes");
  if (entry.directory && entry.size != 0) Refuse("a directory has content");
  return entry;
}

void CheckLimits(const std::vector<ZipEntry>& entries, uint64_t archive_size,
                 const ZipLimits& limits) {
  uint64_t total = 0;
  for (const ZipEntry& entry : entries) {
    if (entry.size > limits.bytes - total) {
      Refuse(fmt::format("it holds more than {}", base::HumanBytes(limits.bytes)));
    }
    total += entry.size;
  }
  if (total > limits.always && total / limits.ratio > archive_size &&
      base::Holds(base::Wall::kWheelRatio)) {
    Refuse(fmt::format("it would grow from {} to {}", base::HumanBytes(archive_size),
                       base::HumanBytes(total)));
  }
}

}  // namespace

std::vector<ZipEntry> ReadZipDirectory(std::span<const std::byte> archive,
                                       const ZipLimits& limits) {
  const Directory directory = ReadEnd(archive);
  if (directory.entries > limits.entries)
    Refuse(fmt::format("it has more than {} entries", limits.entries));
  struct Pending {
    Header header;
    ZipEntry entry;
  };
  std::vector<Pending> pending;
  Cursor cursor(archive.first(directory.end), directory.offset);
  for (uint64_t i = 0; i < directory.entries; ++i) {
    uint32_t attributes = 0;
    const Header header = ReadCentral(cursor, attributes);
    pending.push_back({header, AsEntry(header, attributes)});
  }
  if (cursor.at() != directory.end) Refuse("bytes follow its last entry");
  std::sort(pending.begin(), pending.end(),
            [](const Pending& a, const Pending& b) { return a.header.offset < b.header.offset; });
  std::vector<ZipEntry> entries;
  uint64_t expected = 0;
  for (Pending& one : pending) {
    if (one.header.offset != expected) Refuse("there are bytes that belong to no entry, or to two");
    expected = CheckLocal(archive, one.header, directory.offset, one.entry);
    entries.push_back(std::move(one.entry));
  }
  if (expected != directory.offset) Refuse("there are bytes that belong to no entry");
  CheckLimits(entries, archive.size(), limits);
  return entries;
}

}  // namespace rundlet::rootfs::worker
