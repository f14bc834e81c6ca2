#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attack.h"

static const char* const kWritten[] = {"/proc/sys/kernel/core_pattern",
                                       "/proc/sys/kernel/hostname",
                                       "/proc/sys/kernel/modprobe",
                                       "/proc/sys/kernel/sysrq",
                                       "/proc/sys/kernel/ns_last_pid",
                                       "/proc/sys/kernel/randomize_va_space",
                                       "/proc/sys/vm/overcommit_memory",
                                       "/proc/sys/vm/drop_caches",
                                       "/proc/sys/fs/binfmt_misc/register",
                                       "/proc/sys/net/ipv4/ip_forward",
                                       "/proc/sys/net/ipv4/ping_group_range",
                                       "/proc/sys/user/max_user_namespaces",
                                       "/proc/sysrq-trigger",
                                       "/proc/irq/default_smp_affinity",

                                       "/proc/kmsg",
                                       "/proc/kcore",
                                       "/proc/mtrr",
                                       "/proc/acpi/wakeup",
                                       "/proc/bus/pci/00/00.0",
                                       "/proc/self/oom_score_adj",
                                       "/proc/self/uid_map",
                                       "/proc/self/gid_map",
                                       "/proc/self/setgroups",
                                       "/proc/self/attr/current",
                                       "/proc/self/attr/exec",
                                       "/proc/self/mem",
                                       "/proc/self/clear_refs",
                                       "/proc/self/comm",
                                       "/proc/self/coredump_filter",
                                       "/proc/self/timens_offsets",
                                       "/proc/self/projid_map",
                                       "/proc/self/loginuid",
                                       "/proc/1/oom_score_adj",
                                       "/proc/1/mem",
                                       "/proc/1/uid_map",
                                       "/proc/1/exe",
                                       "/proc/self/exe",
                                       "/proc/uptime",
                                       "/proc/loadavg",
                                       "/proc/meminfo"};
static const char* const kHidden[] = {"/proc/cmdline",
                                      "/proc/interrupts",
                                      "/proc/keys",
                                      "/proc/key-users",
                                      "/proc/kcore",
                                      "/proc/kmsg",
                                      "/proc/kpagecount",
                                      "/proc/kpageflags",
                                      "/proc/kpagecgroup",
                                      "/proc/slabinfo",
                                      "/proc/vmallocinfo",
                                      "/proc/timer_list",
                                      "/proc/locks",
                                      "/proc/sched_debug",
                                      "/proc/latency_stats",
                                      "/proc/modules",
                                      "/proc/diskstats",
                                      "/proc/partitions",
                                      "/proc/sysrq-trigger",
                                      "/proc/1/environ",
                                      "/proc/1/auxv",
                                      "/proc/1/io",
                                      "/proc/1/maps",
                                      "/proc/1/smaps",
                                      "/proc/1/mem",
                                      "/proc/1/stack",
                                      "/proc/1/syscall",
                                      "/proc/1/pagemap",
                                      "/proc/1/personality",
                                      "/dev/kmsg",
                                      "/dev/mem",
                                      "/dev/port",
                                      "/dev/disk",
                                      "/dev/vda",
                                      "/dev/sda",
                                      "/dev/console",
                                      "/dev/tty0",
                                      "/dev/kvm",
                                      "/dev/fuse",
                                      "/dev/net/tun",
                                      "/dev/loop-control",
                                      "/sys/kernel",
                                      "/sys/firmware",
                                      "/sys/fs/cgroup",
                                      "/proc/acpi",
                                      "/proc/asound",
                                      "/proc/scsi"};

static const char* OpenToWrite(long which, long unused) {
  (void)unused;
  return Verdict(open(kWritten[which], O_WRONLY | O_CLOEXEC));
}

static bool HasNames(const char* path) {
  DIR* directory = opendir(path);
  const struct dirent* entry;
  bool some = false;
  while (directory != NULL && (entry = readdir(directory)) != NULL) {
    some = some || (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0);
  }
  if (directory != NULL) closedir(directory);
  return some;
}

static const char* ReadHidden(long which, long unused) {
  (void)unused;
  char byte;
  struct stat info;
  const char* path = kHidden[which];
  if (stat(path, &info) < 0) return Verdict(-1);
  if (S_ISDIR(info.st_mode)) return HasNames(path) ? "DONE" : "empty";
  const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return Verdict(-1);
  const ssize_t got = read(fd, &byte, 1);
  return got == 0 ? "empty" : Verdict(got);
}

/* Through every name that leads to the same procfs. */
static const char* Setting(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  static const char* const kWays[] = {"/proc/self/root/proc/sys/kernel/core_pattern",
                                      "/proc/thread-self/root/proc/sys/kernel/core_pattern",
                                      "/dev/fd/../../sys/kernel/core_pattern",
                                      "/proc/self/cwd/proc/sys/kernel/core_pattern"};
  for (size_t i = 0; i < sizeof kWays / sizeof *kWays; ++i) {
    if (open(kWays[i], O_WRONLY | O_CLOEXEC) >= 0) return "DONE";
  }
  return "held";
}

void Proc(void) {
  for (size_t i = 0; i < sizeof kWritten / sizeof *kWritten; ++i) {
    Try("EROFS|EACCES|EPERM|ENOENT|ETXTBSY", OpenToWrite, (long)i, 0, "proc/write %s", kWritten[i]);
  }
  Try("held", Setting, 0, 0, "proc/write a setting by another name");
  for (size_t i = 0; i < sizeof kHidden / sizeof *kHidden; ++i) {
    Try("empty|ENOENT|EACCES|EPERM|EIO", ReadHidden, (long)i, 0, "proc/read %s", kHidden[i]);
  }
}

int Facts(char** paths) {
  char text[4096];
  if (getuid() != geteuid() || geteuid() == 0) return 1;
  for (; *paths != NULL; ++paths) {
    const int fd = open(*paths, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    const size_t end = length < 0 ? 0 : (size_t)length;
    text[end] = '\0';
    printf("%s=%.*s\n", *paths, (int)strcspn(text, "\n"), text);
  }
  return 0;
}
