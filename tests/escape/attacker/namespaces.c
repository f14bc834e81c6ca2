#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attack.h"

struct Kind {
  const char* name; /* in /proc/self/ns */
  long flag;
};
static const struct Kind kKinds[] = {
    {"mnt", CLONE_NEWNS},    {"cgroup", CLONE_NEWCGROUP},
    {"uts", CLONE_NEWUTS},   {"ipc", CLONE_NEWIPC},
    {"user", CLONE_NEWUSER}, {"pid", CLONE_NEWPID},
    {"net", CLONE_NEWNET},   {"time", 0x80 /* CLONE_NEWTIME */},
};
enum { kKindCount = sizeof kKinds / sizeof *kKinds };

static const char* Unshare(long flag, long high) {
  return Verdict(syscall(SYS_unshare, flag | high));
}

static const char* Clone(long flag, long high) {
  /* clone takes CLONE_NEWTIME for a part of the exit signal: without one it is free for that. */
  const long child = syscall(SYS_clone, flag | high | (flag < 0x100 ? 0 : SIGCHLD), 0, 0, 0, 0);
  if (child == 0) _exit(0);
  return Verdict(child);
}

static const char* Clone3(long flag, long unused) {
  (void)unused;
  struct clone_args arguments;
  memset(&arguments, 0, sizeof arguments);
  arguments.flags = (unsigned long)flag;
  arguments.exit_signal = SIGCHLD;
  const long child = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (child == 0) _exit(0);
  return Verdict(child);
}

static const char* Enter(long kind, long pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/ns/%s", pid, kKinds[kind].name);
  const int space = open(path, O_RDONLY | O_CLOEXEC);
  if (space < 0) return Verdict(-1);
  return Verdict(syscall(SYS_setns, space, 0));
}

static const char* EnterByPidfd(long kind, long pid) {
  const long process = syscall(SYS_pidfd_open, pid, 0);
  if (process < 0) return Verdict(-1);
  return Verdict(syscall(SYS_setns, process, kKinds[kind].flag));
}

/* `number` of another table, with the flag as its first argument. */
static const char* ByI386(long number, long flag) {
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(flag), "c"(0L), "d"(0L), "S"(0L), "D"(0L)
                   : "memory", "r8", "r9", "r10", "r11");
  errno = (int)-result;
  return Verdict(result < 0 ? -1 : result);
}

static const char* ByX32(long number, long flag) {
  return Verdict(syscall(0x40000000 | number, flag, 0, 0, 0, 0));
}

void Namespaces(void) {
  const long high = (long)(1UL << 63);
  for (long i = 0; i < kKindCount; ++i) {
    const char* name = kKinds[i].name;
    const long flag = kKinds[i].flag;
    Try("EPERM", Unshare, flag, 0, "namespaces/%s by unshare", name);
    Try("EPERM", Unshare, flag, high, "namespaces/%s by unshare with a high bit", name);
    Try("EPERM", Clone, flag, 0, "namespaces/%s by clone", name);
    Try("EPERM", Clone, flag, high, "namespaces/%s by clone with a high bit", name);
    Try("ENOSYS", Clone3, flag, 0, "namespaces/%s by clone3", name);
    Try("EPERM", Enter, i, getpid(), "namespaces/%s of its own by setns", name);
    Try("EACCES|EPERM", Enter, i, 1, "namespaces/%s of init by setns", name);
    Try("EPERM", EnterByPidfd, i, getpid(), "namespaces/%s of its own by pidfd", name);
    Try("EPERM", EnterByPidfd, i, 1, "namespaces/%s of init by pidfd", name);
    static const struct {
      const char* name;
      long i386;
      long x32;
    } kRoutes[] = {{"unshare", 310, SYS_unshare},
                   {"clone", 120, SYS_clone},
                   {"clone3", 435, 435},
                   {"setns", 346, SYS_setns}};
    for (size_t route = 0; route < sizeof kRoutes / sizeof *kRoutes; ++route) {
      Try("SIGSYS", ByI386, kRoutes[route].i386, flag, "namespaces/%s by %s of i386", name,
          kRoutes[route].name);
      Try("SIGSYS", ByX32, kRoutes[route].x32, flag, "namespaces/%s by %s of x32", name,
          kRoutes[route].name);
    }
  }
  Try("EPERM", Unshare, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET, 0,
      "namespaces/several by unshare");
  Try("EPERM", Unshare, CLONE_FILES | CLONE_FS, 0, "namespaces/none by unshare");
}
