#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack.h"

enum { kOther = 4321 };

static const char* Become(long uid, long unused) {
  (void)unused;
  return Verdict(setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid));
}

static const char* BecomeGroup(long gid, long unused) {
  (void)unused;
  return Verdict(setresgid((gid_t)gid, (gid_t)gid, (gid_t)gid));
}

static const char* JoinGroup(long gid, long unused) {
  (void)unused;
  const gid_t group = (gid_t)gid;
  return Verdict(syscall(SYS_setgroups, 1, &group));
}

static const char* TakeAll(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  memset(data, 0xff, sizeof data);
  return Verdict(syscall(SYS_capset, &header, data));
}

static const char* Raise(long capability, long unused) {
  (void)unused;
  return Verdict(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0));
}

static const char* Bits(long bits, long unused) {
  (void)unused;
  return Verdict(prctl(PR_SET_SECUREBITS, bits, 0, 0, 0));
}

static const char* NewPrivileges(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  return Verdict(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static const char* Limit(long which, long unused) {
  (void)unused;
  struct rlimit limit;
  getrlimit((unsigned)which, &limit);
  if (limit.rlim_max == RLIM_INFINITY) return "no limit";
  limit.rlim_max += 1;
  return Verdict(setrlimit((unsigned)which, &limit));
}

static const char* Priority(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  return Verdict(setpriority(PRIO_PROCESS, 0, -20));
}

static const char* RealTime(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  const struct sched_param one = {1};
  return Verdict(sched_setscheduler(0, SCHED_FIFO, &one));
}

static const char* MakeDevice(long kind, long device) {
  return Verdict(mknod("/tmp/attacker-device", (mode_t)kind | 0666, (dev_t)device));
}

static const char* GiveAway(long uid, long unused) {
  (void)unused;
  const int file = open("/tmp/attacker-file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  return Verdict(fchown(file, (uid_t)uid, (gid_t)-1));
}

/* What a layer of an image may bring: a program of its root's with the setuid bit. */
static const char* Setuid(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  if (access("/attack/setuid", X_OK) < 0) return "none";
  const pid_t child = fork();
  if (child == 0) {
    execl("/attack/setuid", "setuid", "facts", NULL);
    _exit(98);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status)) return "not started";
  return WEXITSTATUS(status) == 1 ? "root" : WEXITSTATUS(status) == 0 ? "nobody" : "not started";
}

static const char* Mount(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  return Verdict(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static const char* Unmount(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  return Verdict(umount2("/proc", MNT_DETACH));
}

void Privileges(void) {
  Try("EPERM", Become, 0, 0, "privileges/become root");
  Try("EPERM", Become, kOther, 0, "privileges/become another user");
  Try("EPERM", BecomeGroup, 0, 0, "privileges/become root's group");
  Try("EPERM", JoinGroup, 0, 0, "privileges/join root's group");
  Try("EPERM", TakeAll, 0, 0, "privileges/take every capability");
  for (long capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    Try("EPERM|EINVAL", Raise, capability, 0, "privileges/raise capability %ld", capability);
  }
  Try("EPERM", Bits, 0, 0, "privileges/clear the secure bits");
  Try("EINVAL", NewPrivileges, 0, 0, "privileges/allow new privileges");
  Try("EPERM", Limit, RLIMIT_NPROC, 0, "privileges/more processes");
  Try("EPERM", Limit, RLIMIT_NOFILE, 0, "privileges/more open files");
  Try("EPERM", Limit, RLIMIT_CORE, 0, "privileges/core files");
  Try("EACCES|EPERM", Priority, 0, 0, "privileges/a higher priority");
  Try("EPERM", RealTime, 0, 0, "privileges/a real-time class");
  Try("EPERM", MakeDevice, S_IFBLK, (long)makedev(8, 0), "privileges/make a disk");
  Try("EPERM", MakeDevice, S_IFCHR, (long)makedev(1, 1), "privileges/make a memory device");
  Try("EPERM", GiveAway, 0, 0, "privileges/give a file to root");
  Try("nobody|none", Setuid, 0, 0, "privileges/a setuid program");
  Try("EPERM", Mount, 0, 0, "privileges/mount");
  Try("EPERM", Unmount, 0, 0, "privileges/uncover what is below a mount");
}
