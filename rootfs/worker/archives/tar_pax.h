// Extended headers of the POSIX pax format: records "LENGTH KEY=VALUE\n" that overrule the next
// header block.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rootfs/worker/archives/tar_sparse.h"

namespace rundlet::rootfs::worker {

struct PaxTime {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
};

struct PaxRecords {
  std::optional<std::string> path;
  std::optional<std::string> link;
  std::optional<uint64_t> size;
  std::optional<uint64_t> uid;
  std::optional<uint64_t> gid;
  std::optional<PaxTime> mtime;
  std::vector<std::pair<std::string, std::string>> xattrs;  // name, raw value (SCHILY.xattr.*)
  SparseRecords sparse;
};

// Throws base::Error (kInvalid) for what readers disagree on: malformed records, a key twice,
// star's sparse files.
PaxRecords ParsePax(std::string_view text);

// A header for the whole archive. Go's reader, and with it every container tool, ignores one; GNU
// tar and Python obey it. So one that would make a difference is refused.
void CheckGlobalPax(std::string_view text);

}  // namespace rundlet::rootfs::worker
