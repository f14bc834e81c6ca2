#include "rootfs/worker/archives/tar_reader.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr uint64_t kExtensionLimit = uint64_t{1} << 20;  // bytes of one extended header
constexpr uint64_t kOctalLimit = uint64_t{1}
                                 << 33;  // the first size that a ustar header cannot hold

constexpr std::string_view kStandIn = "/GNUSparseFile.";

base::Error RefuseTar(std::string why) {
  return base::Error(base::Fault::kInvalid, "reading a tar archive").Because(std::move(why));
}

base::Error RefuseEntry(std::string_view path, std::string_view why) {
  return RefuseTar(fmt::format("entry `{}` {}", base::Printable(path.substr(0, 300)), why));
}

base::Error Truncated() { return RefuseTar("it ends in the middle: it was cut short"); }

uint64_t PaddingOf(uint64_t size) { return (kTarBlock - size % kTarBlock) % kTarBlock; }

TarType TypeOf(const TarHeader& header, const std::string& path) {
  const bool slash = path.ends_with('/');
  switch (header.type) {
    case '\0':  // before POSIX a directory was a file whose name ends with a slash
      if (slash != header.path.ends_with('/')) {
        throw RefuseEntry(path, "is a directory by one of its names and a file by the other");
      }
      return slash ? TarType::kDirectory : TarType::kFile;
    case '0':
    case '7':  // "contiguous"
    case 'S':  // sparse
      if (slash) throw RefuseEntry(path, "is a file whose name ends with a slash");
      return TarType::kFile;
    case '1':
      return TarType::kHardLink;
    case '2':
      return TarType::kSymlink;
    case '3':
    case '4':
    case '6':
      return TarType::kSpecial;
    case '5':
      return TarType::kDirectory;
    default:
      throw RefuseEntry(
          path, fmt::format("is of unknown type {:#04x}", static_cast<unsigned char>(header.type)));
  }
}

// The number of bytes that follow. Where both headers state it, they must agree, unless the first
// cannot.
uint64_t SizeOf(const TarHeader& header, const std::optional<PaxRecords>& pax, TarType type,
                const std::string& path) {
  uint64_t size = header.size;
  if (pax && pax->size) {
    if (*pax->size != header.size && *pax->size < kOctalLimit) {
      throw RefuseEntry(path, "states two sizes");
    }
    size = *pax->size;
  }
  if (size > INT64_MAX) throw RefuseEntry(path, "is larger than any file can be");
  if (type != TarType::kFile && size != 0) {
    throw RefuseEntry(path, "is not a file and yet has a size, on which tar programs disagree");
  }
  return size;
}

}  // namespace

std::span<const std::byte> TarReader::Take(uint64_t at_most) {
  if (chunk_.empty()) chunk_ = source_.Next();
  const auto taken = chunk_.first(std::min<uint64_t>(at_most, chunk_.size()));
  chunk_ = chunk_.subspan(taken.size());
  position_ += taken.size();
  return taken;
}

// How many bytes there were: fewer than asked for only at the end of the source.
size_t TarReader::TakeAll(std::span<std::byte> buffer) {
  size_t have = 0;
  while (have < buffer.size()) {
    const auto bytes = Take(buffer.size() - have);
    if (bytes.empty()) break;
    std::memcpy(buffer.data() + have, bytes.data(), bytes.size());
    have += bytes.size();
  }
  return have;
}

void TarReader::Pass(uint64_t bytes) {
  while (bytes > 0) {
    uint64_t passed = chunk_.empty() ? source_.Skip(bytes) : 0;
    position_ += passed;
    if (passed == 0) passed = Take(bytes).size();
    if (passed == 0) throw Truncated();
    bytes -= passed;
  }
}

std::span<const std::byte> TarReader::Data() {
  if (left_ == 0) return {};
  const auto bytes = Take(left_);
  if (bytes.empty()) throw Truncated();
  left_ -= bytes.size();
  return bytes;
}

std::string TarReader::TakeText(const TarHeader& header) {
  if (header.size > kExtensionLimit) {
    throw RefuseTar(
        fmt::format("an extended header is larger than {}", base::HumanBytes(kExtensionLimit)));
  }
  std::string text(header.size, '\0');
  if (TakeAll(std::as_writable_bytes(std::span(text))) < text.size()) throw Truncated();
  Pass(PaddingOf(header.size));
  return text;
}

// True when the header was about the next one.
bool TarReader::TakeExtension(const TarHeader& header, Extensions& extensions) {
  const auto take_name = [&](std::optional<std::string>& name) {
    if (name) throw RefuseTar("a long name is stated twice");
    name = TakeText(header);
    // GNU tar ends it with a NUL. Without one, or behind one, Python reads on.
    if (name->size() < 2 || name->find('\0') != name->size() - 1) {
      throw RefuseTar("a long name is not ended by a NUL byte");
    }
    name->pop_back();
  };
  switch (header.type) {
    case 'x':
      if (extensions.pax) throw RefuseTar("an entry has two extended headers");
      extensions.pax = ParsePax(TakeText(header));
      return true;
    case 'g':
      CheckGlobalPax(TakeText(header));
      return true;
    case 'L':
      take_name(extensions.long_path);
      return true;
    case 'K':
      take_name(extensions.long_link);
      return true;
    default:
      return false;
  }
}

TarEntry TarReader::Build(const TarHeader& header, Extensions& extensions) {
  if (extensions.pax && (extensions.long_path || extensions.long_link)) {
    throw RefuseEntry(header.path, "has extended headers of two kinds");
  }
  const std::optional<PaxRecords>& pax = extensions.pax;
  const bool sparse = pax && !pax->sparse.empty();
  if (header.type == 'S' && pax) {
    throw RefuseEntry(header.path, "has extended headers of two kinds");
  }
  TarEntry entry;
  entry.path = extensions.long_path.value_or(header.path);
  entry.link = extensions.long_link.value_or(header.link);
  entry.mode = header.mode;
  entry.uid = header.uid;
  entry.gid = header.gid;
  entry.mtime = {header.mtime, 0};
  if (pax) {
    entry.path = pax->path.value_or(entry.path);
    if (!pax->sparse.name().empty()) {
      // GNU tar gives the entry a name that nobody would use, for those who cannot read the other.
      if (pax->path && pax->path->find(kStandIn) == std::string::npos) {
        throw RefuseEntry(*pax->path, "is a sparse file with two names");
      }
      entry.path = pax->sparse.name();
    }
    entry.link = pax->link.value_or(entry.link);
    entry.uid = pax->uid.value_or(entry.uid);
    entry.gid = pax->gid.value_or(entry.gid);
    entry.mtime = pax->mtime.value_or(entry.mtime);
    entry.xattrs = std::move(extensions.pax->xattrs);
  }
  if (entry.path.empty()) throw RefuseTar("an entry has no name");
  entry.type = TypeOf(header, entry.path);
  const bool link = entry.type == TarType::kHardLink || entry.type == TarType::kSymlink;
  if (link && entry.link.empty()) throw RefuseEntry(entry.path, "is a link to nothing");
  if (sparse && (entry.type != TarType::kFile || header.type == '\0')) {
    throw RefuseEntry(entry.path, "is sparse and not a file");
  }
  entry.size = SizeOf(header, pax, entry.type, entry.path);
  return entry;
}

// What says where a sparse file's bytes belong lies between its header and them, or takes up the
// first of them.
void TarReader::TakeSparse(const TarBlock& block, const TarHeader& header,
                           const Extensions& extensions, TarEntry& entry) {
  const bool records = extensions.pax && !extensions.pax->sparse.empty();
  if (header.type != 'S' && !records) return;
  const uint64_t start = position_;
  const TakeBytes take = [&](std::span<std::byte> buffer) {
    if (records && position_ - start + buffer.size() > std::min(entry.size, kExtensionLimit)) {
      throw RefuseEntry(entry.path, "has a list of sparse parts without an end");
    }
    if (TakeAll(buffer) < buffer.size()) throw Truncated();
  };
  if (records) {
    const SparseRecords::Found found = extensions.pax->sparse.Take(take);
    entry.sparse = found.map;
    entry.size -= found.list_bytes;
  } else {
    entry.sparse = TakeGnuSparse(block, take);
  }
  CheckSparse(*entry.sparse, entry.size);
}

// One block of zeros was read. What follows must be zeros too: GNU tar -i and libarchive would read
// on.
void TarReader::TakeEnd() {
  TarBlock block;
  const size_t size = TakeAll(block);
  if (size != 0 && size != block.size()) throw Truncated();
  while (true) {
    const auto bytes = Take(UINT64_MAX);
    if (bytes.empty()) break;
    const bool zeros = std::all_of(bytes.begin(), bytes.end(),
                                   [](std::byte byte) { return byte == std::byte{0}; });
    if (!zeros) throw RefuseTar("there is something behind its end");
  }
  if (size != 0 && !IsZeroBlock(block)) throw RefuseTar("there is something behind its end");
}

std::optional<TarEntry> TarReader::Next() {
  Pass(left_ + padding_);
  left_ = padding_ = 0;
  Extensions extensions;
  while (true) {
    TarBlock block;
    const size_t size = TakeAll(block);
    if (size == 0 && !extensions.any()) return std::nullopt;
    if (size < block.size()) throw Truncated();
    if (IsZeroBlock(block)) {
      if (extensions.any()) throw Truncated();
      TakeEnd();
      return std::nullopt;
    }
    const TarHeader header = ParseTarHeader(block);
    if (TakeExtension(header, extensions)) continue;
    TarEntry entry = Build(header, extensions);
    TakeSparse(block, header, extensions, entry);
    entry.data_offset = position_;
    left_ = entry.size;
    padding_ = PaddingOf(entry.size);
    return entry;
  }
}

}  // namespace rundlet::rootfs::worker
