// Builds the sandbox's tree from detached mounts and enters it. Targets are resolved inside the new
// root, so no link of an image can lead a mount elsewhere.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include "runtime/child/child.h"
#include "runtime/child/defences.h"

namespace rundlet::runtime {
namespace {

// Of the bare root, in which this process begins (launcher/private_root.h).
constexpr char kEmptyFile[] = "/dev/null";
constexpr char kEmptyDirectory[] = "/dev/pts";
constexpr const char* kMasked[] = {
    "acpi",  "asound",  "cmdline",    "diskstats", "interrupts",    "key-users",   "keys",
    "locks", "modules", "partitions", "scsi",      "latency_stats", "sched_debug", "timer_list"};
constexpr int kResolveAttempts = 256;

int OpenInRoot(int root, const char* path, unsigned flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = Stands(Defence::kInRoot) ? RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS : 0;
  int fd = -1;
  // EAGAIN: a rename anywhere on the host raced with a ".." of a link; the kernel asks to try
  // again.
  for (int attempt = 0; attempt < kResolveAttempts; ++attempt) {
    fd = static_cast<int>(syscall(SYS_openat2, root, path, &how, sizeof how));
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return fd;
}

// Makes the missing parts of a target in the sandbox's own writable layer.
int MakeTarget(int root, const PreparedMount& mount) {
  char path[PATH_MAX];
  const size_t length = strlen(mount.target);
  memcpy(path, mount.target, length + 1);
  int parent = OpenInRoot(root, ".", O_PATH | O_DIRECTORY);
  for (size_t begin = 0; begin <= length && parent >= 0;) {
    char* slash = strchr(path + begin, '/');
    const bool last = slash == nullptr;
    if (!last) *slash = '\0';
    const char* name = path + begin;
    bool made = false;
    if (last && !mount.directory) {
      const int file =
          openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
      made = file >= 0;
      if (made) close(file);
    } else {
      made = mkdirat(parent, name, 0755) == 0;
    }
    const int error_number = errno;
    close(parent);
    // From the root again: an existing part may be a link inside the root.
    parent = OpenInRoot(root, path, O_PATH);
    // Why it could not be made says more than that it is absent.
    if (parent < 0 && !made && error_number != EEXIST) errno = error_number;
    if (last) break;
    *slash = '/';
    begin = static_cast<size_t>(slash - path) + 1;
  }
  return parent;
}

int OpenTarget(int root, const PreparedMount& mount) {
  const int target = OpenInRoot(root, mount.target, O_PATH);
  if (target >= 0 || errno != ENOENT) return target;
  return MakeTarget(root, mount);
}

int MakeFileSystem(const char* type, const char* const* options, unsigned attributes) {
  const int context = fsopen(type, FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  for (; *options != nullptr; options += 2) {
    const int set = options[1] != nullptr
                        ? fsconfig(context, FSCONFIG_SET_STRING, options[0], options[1], 0)
                        : fsconfig(context, FSCONFIG_SET_FLAG, options[0], nullptr, 0);
    if (set < 0) return -1;
  }
  if (fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) return -1;
  const int mount = fsmount(context, FSMOUNT_CLOEXEC, attributes);
  close(context);
  return mount;
}

int MountFor(const PreparedMount& mount) {
  constexpr unsigned kQuiet = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  switch (mount.kind) {
    case PreparedMount::Kind::kAttach:
    case PreparedMount::Kind::kScratch:
      return mount.fd;
    case PreparedMount::Kind::kProc: {
      if (!Stands(Defence::kProcesses))  // then only the host's will do
        return open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
      const char* const full[] = {nullptr};
      const char* const own[] = {"subset", "pid", nullptr};
      return MakeFileSystem(
          "proc", mount.full ? full : own,
          kQuiet | MOUNT_ATTR_NODEV | (Stands(Defence::kProcReadOnly) ? MOUNT_ATTR_RDONLY : 0));
    }
    case PreparedMount::Kind::kDevpts: {
      const char* const options[] = {"newinstance", nullptr, "ptmxmode", "0666",
                                     "mode",        "0620",  nullptr};
      return MakeFileSystem("devpts", options, kQuiet);
    }
  }
  return -1;
}

void Attach(const Prepared& prepared, Stage stage, PreparedMount& mount, int target) {
  const int source = MountFor(mount);
  if (source < 0 ||
      move_mount(source, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0) {
    Fail(prepared, stage, errno, mount.index);
  }
  mount.fd = source;
}

// Hides what the host's procfs would tell to everybody. Unreadable ones (kcore, kmsg, ...) belong
// to an id that no sandbox has. Names in a procfs that was just made lead nowhere else.
void MaskProc(const Prepared& prepared, const PreparedMount& mount) {
  for (const char* name : kMasked) {
    struct stat info;
    if (fstatat(mount.fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) continue;
      Fail(prepared, Stage::kTargets, errno, mount.index);
    }
    const char* mask = S_ISDIR(info.st_mode) ? kEmptyDirectory : kEmptyFile;
    const int source = open_tree(AT_FDCWD, mask, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (source < 0 || move_mount(source, "", mount.fd, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
      Fail(prepared, Stage::kTargets, errno, mount.index);
    close(source);
  }
}

}  // namespace

// The root comes over the bare one, and a chroot makes it the only one there is for what runs here:
// pivot_root would look at every process of the host, and unmounting the old root wait for the
// kernel's RCU.
void MountTree(Prepared& prepared) {
  const int place = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (place < 0) Fail(prepared, Stage::kRoot, errno);
  Attach(prepared, Stage::kRoot, prepared.mounts[0], place);
  close(place);
  const int root = prepared.mounts[0].fd;
  Reach(prepared, Stage::kRoot);
  for (size_t i = 1; i < prepared.mount_count; ++i) {
    PreparedMount& mount = prepared.mounts[i];
    const int target = OpenTarget(root, mount);
    if (target < 0) Fail(prepared, Stage::kTargets, errno, mount.index);
    Attach(prepared, Stage::kTargets, mount, target);
    close(target);
    if (mount.kind == PreparedMount::Kind::kProc && mount.full && Stands(Defence::kProcMasks))
      MaskProc(prepared, mount);
  }
  Reach(prepared, Stage::kTargets);
  if (fchdir(root) < 0 || chroot(".") < 0) Fail(prepared, Stage::kEntered, errno);
  Reach(prepared, Stage::kEntered);
}

}  // namespace rundlet::runtime
