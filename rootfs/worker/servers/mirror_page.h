// A project's page as the mirror gives it to a sandbox (PEP 503): written anew from what the index
// said, with links to the mirror itself.
#pragma once

#include <string>
#include <vector>

#include "rootfs/worker/http/index_page.h"

namespace rundlet::rootfs::worker {

// Files of names that could be none are left out.
std::string MirrorPage(const std::vector<IndexFile>& files);

}  // namespace rundlet::rootfs::worker
