// Reads a tar archive entry by entry, the way Go's archive/tar does: that reader, in containerd,
// docker, umoci and skopeo, decides what an image is.
//
// Tar programs differ on odd archives, and a layer that two programs read differently can hide
// files from one of them. So an archive that is read differently by Go, GNU tar or Python is
// refused: a link or directory with a body, a size stated twice with different values, a long name
// stated twice, global headers that matter, bytes after the end. Why not libarchive: it guesses
// whether a hard link has a body, converts names by locale, and takes several such archives without
// a word.
//
// What comes out is as hostile as what goes in: paths may be absolute, hold "..", or bytes that are
// no UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rootfs/worker/archives/tar_header.h"
#include "rootfs/worker/archives/tar_pax.h"
#include "rootfs/worker/archives/tar_source.h"
#include "rootfs/worker/archives/tar_sparse.h"

namespace rundlet::rootfs::worker {

enum class TarType { kFile, kHardLink, kSymlink, kDirectory, kSpecial };  // kSpecial: device, fifo

struct TarEntry {
  std::string path;
  std::string link;  // of links: the target
  TarType type = TarType::kFile;
  uint32_t mode = 0;  // permissions, setuid, setgid, sticky
  uint64_t uid = 0;
  uint64_t gid = 0;
  uint64_t size = 0;  // of the bytes in the archive
  PaxTime mtime;
  std::vector<std::pair<std::string, std::string>> xattrs;
  uint64_t data_offset = 0;         // of a file's bytes, from the start of the stream
  std::optional<SparseMap> sparse;  // where the bytes belong; else they are the whole file
};

class TarReader {
 public:
  explicit TarReader(ByteSource& source) : source_(source) {}

  // The next entry; what was not read of the one before is passed over. Nothing at the end of the
  // archive, which is two blocks of zeros, or the end of the source where a header might begin.
  // Throws base::Error (kInvalid).
  std::optional<TarEntry> Next();
  // The next bytes of the current entry, valid until the next call; empty at its end.
  std::span<const std::byte> Data();

 private:
  struct Extensions {
    std::optional<PaxRecords> pax;
    std::optional<std::string> long_path;  // GNU tar's
    std::optional<std::string> long_link;
    bool any() const { return pax || long_path || long_link; }
  };

  std::span<const std::byte> Take(uint64_t at_most);
  size_t TakeAll(std::span<std::byte> buffer);
  void Pass(uint64_t bytes);
  std::string TakeText(const TarHeader& header);
  bool TakeExtension(const TarHeader& header, Extensions& extensions);
  TarEntry Build(const TarHeader& header, Extensions& extensions);
  void TakeSparse(const TarBlock& block, const TarHeader& header, const Extensions& extensions,
                  TarEntry& entry);
  void TakeEnd();

  ByteSource& source_;
  std::span<const std::byte> chunk_;  // got from the source, not taken yet
  uint64_t position_ = 0;
  uint64_t left_ = 0;     // of the current entry's bytes
  uint64_t padding_ = 0;  // behind them
};

}  // namespace rundlet::rootfs::worker
