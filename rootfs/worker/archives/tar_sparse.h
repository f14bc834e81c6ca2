// Sparse files in tar archives: which parts of a file are stored, in the four forms that GNU tar
// writes. What one form states in a way that another program reads differently is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rootfs/worker/archives/tar_header.h"

namespace rundlet::rootfs::worker {

struct TarExtent {
  uint64_t offset = 0;
  uint64_t size = 0;
  bool operator==(const TarExtent&) const = default;
};

// The stored bytes are those of the extents, one behind the other; all else of the file is zeros.
struct SparseMap {
  uint64_t file_size = 0;
  std::vector<TarExtent> extents;
};

// Fills the buffer with what follows in the archive; throws base::Error when there is less.
using TakeBytes = std::function<void(std::span<std::byte>)>;

// The old form: a header of type 'S', and the blocks that go on with its list.
SparseMap TakeGnuSparse(const TarBlock& header, const TakeBytes& take);

// The records GNU.sparse.* of an extended header: versions 0.0, 0.1 and 1.0.
class SparseRecords {
 public:
  static bool IsOne(std::string_view key) { return key.starts_with("GNU.sparse."); }
  // True for keys that may come many times in one header.
  static bool Repeats(std::string_view key);
  void Add(std::string_view key, std::string_view value);
  bool empty() const { return keys_.empty(); }

  // The name of the file; the entry's own is then a stand-in. Empty: it is not stated.
  const std::string& name() const { return name_; }
  // Where version 1.0 has its list: in the first blocks of the entry's bytes, with their number.
  struct Found {
    SparseMap map;
    uint64_t list_bytes = 0;
  };
  Found Take(const TakeBytes& take) const;

 private:
  bool Has(std::string_view key) const;

  std::vector<std::string> keys_;  // each once
  std::string name_;
  std::string list_;  // of 0.1
  std::optional<uint64_t> size_;
  std::optional<uint64_t> count_;
  std::optional<uint64_t> major_;
  std::optional<uint64_t> minor_;
  std::vector<uint64_t> numbers_;  // of 0.0: offset, size, offset, size, ...
  bool wants_size_ = false;
};

// Extents in order, inside the file, and together the stored bytes. Throws base::Error.
void CheckSparse(const SparseMap& map, uint64_t stored);

}  // namespace rundlet::rootfs::worker
