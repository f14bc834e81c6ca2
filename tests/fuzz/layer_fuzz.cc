// A layer's tar stream: read to its end or refused, whatever the size of the pieces it comes in;
// and read as libarchive reads it, or refused. Of two readings of one archive, one is an attack.
#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "rootfs/worker/archives/tar_path.h"
#include "rootfs/worker/archives/tar_reader.h"
#include "tests/fuzz/check.h"

namespace {

using namespace rundlet::rootfs::worker;  // NOLINT(build/namespaces): a program of one function
using rundlet::fuzz::Require;

constexpr uint64_t kLargest = 1 << 20;  // of a sparse file that is looked at

class Pieces : public ByteSource {
 public:
  Pieces(std::string_view bytes, size_t piece) : bytes_(bytes), piece_(piece) {}
  std::span<const std::byte> Next() override {
    const std::string_view now = bytes_.substr(0, piece_);
    bytes_.remove_prefix(now.size());
    return std::as_bytes(std::span(now.data(), now.size()));
  }

 private:
  std::string_view bytes_;
  size_t piece_;
};

struct Seen {
  std::string path;
  TarType type;
  std::string content;
  bool operator==(const Seen&) const = default;
};

std::string WithHoles(std::string_view stored, const SparseMap& map) {
  std::string content(map.file_size, '\0');
  for (const TarExtent& extent : map.extents) {
    content.replace(extent.offset, extent.size, stored.substr(0, extent.size));
    stored.remove_prefix(extent.size);
  }
  Require(stored.empty() && content.size() == map.file_size);
  return content;
}

std::optional<std::vector<Seen>> ReadOurs(std::string_view input, size_t piece) {
  std::vector<Seen> all;
  try {
    Pieces source(input, piece);
    TarReader reader(source);
    while (const std::optional<TarEntry> entry = reader.Next()) {
      const std::string path = CleanPath(entry->path, 256);
      Require(!path.starts_with('/') && path != ".." && !path.starts_with("../"));
      all.push_back({entry->path, entry->type, ""});
      for (auto data = reader.Data(); !data.empty(); data = reader.Data()) {
        all.back().content.append(reinterpret_cast<const char*>(data.data()), data.size());
      }
      Require(all.back().content.size() == entry->size);
      if (entry->sparse) {
        if (entry->sparse->file_size > kLargest) return std::nullopt;
        all.back().content = WithHoles(all.back().content, *entry->sparse);
      }
    }
  } catch (const rundlet::base::Error& error) {
    Require(error.Render().find('\x1b') == std::string::npos);
    return std::nullopt;
  }
  return all;
}

TarType TypeOf(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) return TarType::kHardLink;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return TarType::kFile;
    case AE_IFLNK:
      return TarType::kSymlink;
    case AE_IFDIR:
      return TarType::kDirectory;
    default:
      return TarType::kSpecial;
  }
}

// Nothing when libarchive refuses the archive, too.
std::optional<std::vector<Seen>> ReadTheirs(std::string_view input) {
  const std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(), archive_read_free);
  archive_read_support_format_tar(reader.get());
  archive_read_set_options(reader.get(), "hdrcharset=BINARY");
  if (archive_read_open_memory(reader.get(), input.data(), input.size()) != ARCHIVE_OK) return {};
  std::vector<Seen> all;
  archive_entry* entry = nullptr;
  int result = archive_read_next_header(reader.get(), &entry);
  for (; result == ARCHIVE_OK; result = archive_read_next_header(reader.get(), &entry)) {
    const char* path = archive_entry_pathname(entry);
    if (path == nullptr) return {};
    all.push_back({path, TypeOf(entry), ""});
    char buffer[4096];
    la_ssize_t count = 0;
    while ((count = archive_read_data(reader.get(), buffer, sizeof buffer)) > 0) {
      if (all.back().content.size() > kLargest) return {};
      all.back().content.append(buffer, static_cast<size_t>(count));
    }
    if (count < 0) return {};
  }
  if (result != ARCHIVE_EOF) return {};
  return all;
}

void TrimSlashes(std::vector<Seen>& entries) {
  for (Seen& entry : entries) {
    while (entry.type == TarType::kDirectory && entry.path.ends_with('/')) entry.path.pop_back();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  auto whole = ReadOurs(input, SIZE_MAX);
  Require(ReadOurs(input, 1) == whole && ReadOurs(input, 513) == whole);
  auto theirs = ReadTheirs(input);
  if (!whole || !theirs) return 0;
  // libarchive takes a hard link for an empty file when only an extended header has its target.
  for (size_t i = 0; i < std::min(whole->size(), theirs->size()); ++i) {
    if ((*whole)[i].type == TarType::kHardLink && (*theirs)[i].content.empty()) {
      (*theirs)[i].type = TarType::kHardLink;
    }
  }
  TrimSlashes(*whole);
  TrimSlashes(*theirs);
  Require(*whole == *theirs);
  return 0;
}
