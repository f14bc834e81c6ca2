// Files of an image, named as its own programs name them.
#pragma once

#include <string>

#include "base/fd.h"

namespace rundlet::rootfs::worker {

// Opens `path` as a program inside the image at `root` would: absolute links start there, and ".."
// stops there. Not valid, with errno set, when it cannot be opened.
base::UniqueFd OpenInRoot(int root, const std::string& path, int flags);

}  // namespace rundlet::rootfs::worker
