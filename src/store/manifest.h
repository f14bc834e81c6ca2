// Manifests: what a tree holds, in canonical bytes. The output digest of an entry is the digest of
// its manifest.
//
// Format (docs/reference/store-layout.md). The first line is "rundlet manifest 1". Then one line an
// entry, sorted by the bytes of the path, the tree itself (".") first:
//   <type> <mode> <uid> <gid> <size> <content> <path>
//   type      f regular file, d directory, l symbolic link, h hard link to an earlier path;
//             c b p s as in ls
//   mode      four octal digits (permissions, setuid, setgid, sticky)
//   size      bytes of a regular file (f and h), else 0
//   content   f: sha256; l, h: the target; c, b: <major>:<minor>; else "-"
// An entry's extended attributes (user.*, trusted.overlay.*; of files and directories) follow it,
// sorted by name:
//   x <name> <value in hex, or "-" when empty>
// In names, targets and paths, bytes outside 0x21..0x7e and "%" are written %xx (lower case). Times
// are not part of it.
#pragma once

#include <cstdint>
#include <string>

#include "base/digest.h"

namespace rundlet::store {

struct Manifest {
  std::string text;
  uint64_t bytes = 0;  // of regular files, a hard-linked one counted once
  uint64_t files = 0;  // regular files, hard links included
  base::Digest digest() const { return base::Digest::Of(text); }
};

// Reads every byte of the tree. Nobody writes to it meanwhile. Throws Error.
Manifest ManifestOf(int tree);

}  // namespace rundlet::store
