// Overlays, mounted in the initial user namespace: from a child user namespace the kernel ignores
// trusted.overlay.opaque without an error, and deleted files reappear.
#pragma once

#include <vector>

#include "base/fd.h"

namespace rundlet::runtime {

enum class OverlayWay {
  kByDescriptor,  // fsconfig with descriptors; Linux 6.13 and later
  kByName,        // mount(2) with names relative to /proc/self/fd; to go when 6.1 goes
};

struct OverlayParts {
  std::vector<int> lowers;  // directories, topmost first; on mounts attached in this namespace
  int upper = -1;           // -1: read-only
  int work = -1;
};

// A detached mount. Throws base::Error. kByName attaches it for a moment at /root.
base::UniqueFd MountOverlay(OverlayWay way, const OverlayParts& parts);

// Tries both ways on the real thing, and remembers the first that works.
base::UniqueFd MountOverlay(const OverlayParts& parts);

}  // namespace rundlet::runtime
