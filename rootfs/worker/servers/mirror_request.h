// What a sandbox asks the mirror of the package index for.
#pragma once

#include <string>
#include <string_view>

#include "base/digest.h"

namespace rundlet::rootfs::worker {

struct MirrorRequest {
  int status = 200;  // to answer with, when it is not to be served
  std::string reason = {};
  bool body = true;  // false: HEAD
  // One of the two.
  std::string project = {};  // normalised: its page
  std::string file = {};     // the path of a file, as MirrorPath gives it
};

// `head` is complete. Only its first line matters.
MirrorRequest ReadMirrorRequest(std::string_view head);

// "/files/<sha256>/demo-1.0-py3-none-any.whl"
std::string MirrorPath(const base::Digest& sha256, std::string_view filename);
// Of a file that could be one of an index: no separator, no control character, not too long.
bool IsMirroredName(std::string_view filename);

}  // namespace rundlet::rootfs::worker
