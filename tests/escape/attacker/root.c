/* Out of the root. What a sandbox has is a root over a bare one, entered by chroot: the ways that
 * lead out of a chroot, and what is found there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attack.h"

enum { kSteps = 64, kHandle = 128 };

static struct stat root; /* as it is seen at first */

static bool IsRoot(const struct stat* other) {
  return other->st_dev == root.st_dev && other->st_ino == root.st_ino;
}

/* Up from there as far as it goes. "bare": above the root, in what only has mount points;
   "the launcher's": where /store is the state directory. */
static const char* Climb(int directory) {
  struct stat here;
  struct stat before = {0};
  for (int step = 0; step < kSteps; ++step) {
    if (fstat(directory, &here) < 0) return Verdict(-1);
    if (here.st_dev == before.st_dev && here.st_ino == before.st_ino) break;
    before = here;
    directory = openat(directory, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return Verdict(-1);
  }
  if (IsRoot(&here)) return "inside";
  return faccessat(directory, "store", F_OK, 0) == 0 ? "the launcher's" : "bare";
}

static const char* DotDot(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  return Climb(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* Without the flags that keep a look-up in. */
static const char* ByOpenat2(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC};
  const int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  const long above = syscall(SYS_openat2, top, "../../../..", &how, sizeof how);
  return above < 0 ? Verdict(-1) : Climb((int)above);
}

/* The directory that is open is above the new root, where ".." does not end. */
static const char* Chroot(int held) {
  char place[] = "/tmp/attacker-root-XXXXXX";
  if (mkdtemp(place) == NULL || chroot(place) < 0) return Verdict(-1);
  return fchdir(held) < 0 ? Verdict(-1) : Climb(held);
}

static const char* ChrootTwice(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  return Chroot(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static const char* ChrootInUserNamespace(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) return Verdict(-1);
  return ChrootTwice(0, 0);
}

/* The child has another root, and is sent a directory of its parent's. */
static const char* Passed(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  int pair[2];
  int top = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  char byte = 0;
  char space[CMSG_SPACE(sizeof top)] = "";
  struct iovec data = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return Verdict(-1);
  const pid_t sender = fork();
  if (sender == 0) {
    struct cmsghdr* control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof top);
    memcpy(CMSG_DATA(control), &top, sizeof top);
    _exit(sendmsg(pair[0], &message, 0) == 1 ? 0 : 1);
  }
  close(top);
  if (recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC) != 1) return "nothing came";
  memcpy(&top, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof top);
  return Chroot(top);
}

static const char* ByHandle(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  union {
    struct file_handle header;
    char space[sizeof(struct file_handle) + kHandle];
  } handle = {.header = {.handle_bytes = kHandle}};
  int mount = 0;
  const int top = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  /* Not every file system gives handles; the next call is refused before it looks at one. */
  (void)name_to_handle_at(top, "", &handle.header, &mount, AT_EMPTY_PATH);
  const int opened = open_by_handle_at(top, &handle.header, O_RDONLY | O_CLOEXEC);
  return opened < 0 ? Verdict(-1) : Climb(opened);
}

/* A clone of what is above the root: a root of its own to climb to. */
static const char* ByOpenTree(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  const long tree = syscall(SYS_open_tree, AT_FDCWD, "/..", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);
  return tree < 0 ? Verdict(-1) : Climb((int)tree);
}

/* Without the root; whoever enters a mount namespace begins at its first mount. */
static const char* Uncover(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  const int space = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (umount2("/", MNT_DETACH) < 0) return Verdict(-1);
  if (setns(space, CLONE_NEWNS) < 0) return Verdict(-1);
  return Climb(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static const char* Pivot(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  if (chdir("/") < 0) return Verdict(-1);
  return Verdict(syscall(SYS_pivot_root, ".", "."));
}

static const char* EnterAgain(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  const int space = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (setns(space, CLONE_NEWNS) < 0) return Verdict(-1);
  return Climb(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* Every process that procfs shows. */
static const char* OfProcesses(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  static const char* const kPlaces[] = {"root", "cwd"};
  for (long pid = 1; pid < 4096; ++pid) {
    for (size_t i = 0; i < sizeof kPlaces / sizeof *kPlaces; ++i) {
      char path[128];
      snprintf(path, sizeof path, "/proc/%ld/%s", pid, kPlaces[i]);
      const int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
      if (directory < 0) continue;
      const char* where = Climb(directory);
      close(directory);
      if (strcmp(where, "inside") != 0) return where;
    }
  }
  return "inside";
}

void Root(void) {
  if (stat("/", &root) < 0) return;
  Try("inside", DotDot, 0, 0, "root/by dot-dot");
  Try("inside", ByOpenat2, 0, 0, "root/by openat2");
  Try("inside", OfProcesses, 0, 0, "root/of any process");
  Try("EPERM", ChrootTwice, 0, 0, "root/chroot twice");
  Try("EPERM", ChrootInUserNamespace, 0, 0, "root/chroot in a user namespace");
  Try("EPERM", Passed, 0, 0, "root/by a directory that is passed");
  Try("EPERM", ByHandle, 0, 0, "root/by a handle");
  Try("EPERM", ByOpenTree, 0, 0, "root/by a copy of its mounts");
  Try("EPERM", EnterAgain, 0, 0, "root/enter its namespace again");
  Try("EPERM", Pivot, 0, 0, "root/pivot");
  Try("EPERM", Uncover, 0, 0, "root/uncover what is below");
}
