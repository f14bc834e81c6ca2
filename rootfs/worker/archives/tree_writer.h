// Writes the entries of a layer as a directory tree in the form overlayfs wants for a lower
// directory.
//
// Everything happens beneath one directory descriptor: no "..", no link is followed, also none that
// the layer itself made. A whiteout ".wh.x" becomes a character device 0:0 named "x"; an opaque
// marker ".wh..wh..opq" is reported, because only the initial user namespace can set
// trusted.overlay.opaque. Both hold for lower layers only, whatever their order in the archive:
// what the same layer brings stays (image specification, layer.md).
//
// Kept: names, contents, holes of sparse files, modes without setuid and setgid, owners, times,
// user.* attributes, hard links. Owners above 65535 become "nobody" (65534), which is how a sandbox
// would show them. Dropped and counted: devices, fifos, other attributes, setuid and setgid bits.
// An entry that comes twice replaces the first. Directories that the archive only implies get mode
// 0755 and the writer's owner.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "rootfs/worker/archives/tar_reader.h"

namespace rundlet::rootfs::worker {

struct TreeLimits {
  uint64_t entries = 1'500'000;
  uint64_t name_bytes = uint64_t{256}
                        << 20;  // of all paths together: what the writer may have to remember
  size_t depth = 256;
  uint64_t xattr_bytes = uint64_t{64} << 10;  // of one entry
  uint64_t hole_bytes = uint64_t{4} << 30;    // of all sparse files: what is not there is read, too
  uint64_t highest_id = 65'535;
};

struct TreeReport {
  uint64_t entries = 0;
  uint64_t bytes = 0;  // of file contents
  uint64_t dropped_specials = 0;
  uint64_t dropped_xattrs = 0;
  uint64_t stripped_setuid = 0;
  uint64_t foreign_owners = 0;  // now nobody's
  std::vector<std::string>
      opaque;  // directories that hide all that lower layers have there; "." is the root
};

class TreeWriter {
 public:
  // `root` is borrowed and should be empty.
  TreeWriter(int root, const TreeLimits& limits) : root_(root), limits_(limits) {}

  // Writes one entry; a file's bytes are read from `data`. Throws base::Error: kInvalid for what a
  // layer must not hold.
  void Add(const TarEntry& entry, TarReader& data);
  // Sets the times of directories, which writing into them changed. Call once, last.
  TreeReport Finish();

 private:
  struct Slot {
    int parent;
    std::string name;
  };
  struct Owner {
    uid_t uid;
    gid_t gid;
  };

  void Count(const std::string& path);
  Slot OpenSlot(const std::string& path);
  void MakeParents(const std::string& path);
  bool Clear(const Slot& slot, const std::string& path);
  void RememberOpaque(const std::string& path);
  bool AddMarker(const TarEntry& entry, const std::string& path);
  void AddWhiteout(const std::string& path);
  void AddDirectory(const TarEntry& entry, const std::string& path);
  void AddFile(const TarEntry& entry, const std::string& path, TarReader& data);
  void WriteContent(int file, const TarEntry& entry, const std::string& path, TarReader& data);
  void AddSymlink(const TarEntry& entry, const std::string& path);
  void AddHardLink(const TarEntry& entry, const std::string& path);
  Owner OwnerOf(const TarEntry& entry);
  void ApplyMode(int fd, const TarEntry& entry, uint32_t mask);
  void ApplyXattrs(int fd, const TarEntry& entry);
  void DropHiddenWhiteouts();

  int root_;
  TreeLimits limits_;
  const Owner self_{geteuid(), getegid()};  // what is new belongs to us
  TreeReport report_;
  uint64_t name_bytes_ = 0;
  uint64_t hole_bytes_ = 0;
  // Entries of one directory mostly follow each other: its descriptor is kept.
  std::string parent_path_;
  base::UniqueFd parent_;
  std::vector<std::pair<std::string, PaxTime>> directory_times_;
  std::set<std::string> opaque_;
};

}  // namespace rundlet::rootfs::worker
