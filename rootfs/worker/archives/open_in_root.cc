#include "rootfs/worker/archives/open_in_root.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace rundlet::rootfs::worker {

base::UniqueFd OpenInRoot(int root, const std::string& path, int flags) {
  open_how how{};
  // A fifo must not block, a terminal must not become ours.
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  while (true) {
    const long fd = syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return base::UniqueFd(static_cast<int>(fd));
  }
}

}  // namespace rundlet::rootfs::worker
