#include "runtime/launcher/private_root.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "runtime/child/defences.h"
#include "runtime/launcher/mounting.h"

namespace rundlet::runtime {
namespace {

using base::ThrowErrno;
using base::UniqueFd;

void MakeDir(int dir, const char* path, mode_t mode = 0755) {
  if (mkdirat(dir, path, mode) < 0) ThrowErrno("creating directory `{}`", path);
}

// Device files come from here, never from an image. umask is 0 in the launcher.
UniqueFd MakeDevices() {
  struct Device {
    const char* name;
    unsigned minor;
  };
  UniqueFd devices = NewFileSystem("tmpfs", {{"mode", "0755"}, {"size", "64k"}},
                                   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  for (const Device& device : {Device{"null", 3}, Device{"zero", 5}, Device{"full", 7},
                               Device{"random", 8}, Device{"urandom", 9}}) {
    if (mknodat(devices.get(), device.name, S_IFCHR | 0666, makedev(1, device.minor)) < 0) {
      ThrowErrno("creating device `{}`", device.name);
    }
  }
  if (mknodat(devices.get(), "tty", S_IFCHR | 0666, makedev(5, 0)) < 0)
    ThrowErrno("creating device `tty`");
  struct Link {
    const char* name;
    const char* target;
  };
  for (const Link& link : {Link{"fd", "/proc/self/fd"}, Link{"stdin", "/proc/self/fd/0"},
                           Link{"stdout", "/proc/self/fd/1"}, Link{"stderr", "/proc/self/fd/2"},
                           Link{"ptmx", "pts/ptmx"}}) {
    if (symlinkat(link.target, devices.get(), link.name) < 0)
      ThrowErrno("creating link `{}`", link.name);
  }
  MakeDir(devices.get(), "pts");
  MakeDir(devices.get(), "shm");
  SetAttributes(devices.get(), MOUNT_ATTR_RDONLY, 0);
  return devices;
}

UniqueFd MakeBareRoot() {
  UniqueFd root = NewFileSystem("tmpfs", {{"mode", "0755"}, {"size", "64k"}},
                                MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  for (const char* name : {"proc", "dev", "dev/pts"}) MakeDir(root.get(), name);
  if (mknodat(root.get(), "dev/null", S_IFCHR | 0666, makedev(1, 3)) < 0)
    ThrowErrno("creating device `null`");
  SetAttributes(root.get(), MOUNT_ATTR_RDONLY, 0);
  return root;
}

UniqueFd MakeBareProc() {
  return NewFileSystem("proc", {{"hidepid", Stands(Defence::kProcesses) ? "ptraceable" : "off"}},
                       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

UniqueFd OwnMountNamespace() {
  UniqueFd space(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!space.valid()) ThrowErrno("opening a mount namespace");
  return space;
}

void NewMountNamespace() {
  if (unshare(CLONE_NEWNS) < 0) ThrowErrno("making a mount namespace");
}

}  // namespace

MountNamespaces EnterPrivateRoot(UniqueFd store) {
  NewMountNamespace();
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
    ThrowErrno("making mounts private");
  umask(0);
  const UniqueFd proc = CloneTree(AT_FDCWD, "/proc");
  const UniqueFd bare = MakeBareRoot();
  // Any directory that is there will do as the place to pivot from; every Linux host has /proc.
  Attach(bare.get(), "/proc");
  if (fchdir(bare.get()) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
      umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) {
    ThrowErrno("entering a bare root");
  }
  Attach(MakeBareProc().get(), "/proc");
  MountNamespaces spaces;
  spaces.bare = OwnMountNamespace();
  NewMountNamespace();
  const UniqueFd root =
      NewFileSystem("tmpfs", {{"mode", "0755"}, {"size", "4m"}}, MOUNT_ATTR_NOSUID);
  for (const char* name : {"proc", "store", "dev", "root", "scratch", "ids", "layers"}) {
    MakeDir(root.get(), name);
  }
  Attach(root.get(), "/");
  if (fchdir(root.get()) < 0 || chroot(".") < 0) ThrowErrno("entering the launcher's root");
  Attach(proc.get(), "/proc");
  Attach(store.get(), "/store");
  Attach(MakeDevices().get(), "/dev");
  spaces.own = OwnMountNamespace();
  return spaces;
}

}  // namespace rundlet::runtime
