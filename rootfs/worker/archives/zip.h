// A strict reader of zip archives (APPNOTE 6.3), for wheels.
//
// Zip says everything twice: in a local header before each file and in the central directory.
// Readers that believe one or the other see different archives, so this one accepts only archives
// in which both agree and in which the entries lie one after the other from the first byte to the
// central directory, with nothing between, before or after.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace rundlet::rootfs::worker {

struct ZipEntry {
  std::string
      path;  // as stored; a directory's without its trailing "/". Not checked: see CheckArchivePath
  bool directory = false;
  bool executable = false;  // any x bit of a Unix mode
  bool deflated = false;    // else stored
  uint32_t crc = 0;
  uint64_t packed = 0;  // bytes in the archive
  uint64_t size = 0;    // bytes once inflated
  uint64_t data = 0;    // offset of the packed bytes
};

struct ZipLimits {
  uint64_t entries = 500'000;
  uint64_t bytes = uint64_t{32} << 30;   // of all files together, inflated
  uint64_t ratio = 300;                  // inflated to packed, over the whole archive
  uint64_t always = uint64_t{64} << 20;  // inflated bytes that need no ratio
};

class ZipReader {
 public:
  // `archive` is borrowed and must outlive the reader. Throws base::Error (kInvalid) for an archive
  // that is damaged, ambiguous, encrypted, split, over a limit, or holds links or special files.
  explicit ZipReader(std::span<const std::byte> archive, const ZipLimits& limits = {});

  const std::vector<ZipEntry>& entries() const { return entries_; }

  using Sink = std::function<void(std::span<const std::byte>)>;
  // Gives the inflated bytes to `sink`, piece by piece. Throws unless length and CRC are as
  // promised.
  void Read(const ZipEntry& entry, const Sink& sink) const;
  // A whole small file. Throws when it is larger than `limit`.
  std::string ReadText(const ZipEntry& entry, uint64_t limit) const;

 private:
  std::span<const std::byte> archive_;
  std::vector<ZipEntry> entries_;
};

}  // namespace rundlet::rootfs::worker
