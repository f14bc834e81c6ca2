/* System calls, and what is asked of the filter about them. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filter_verdicts.h"
#include "probe.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static struct Call calls[kMostCalls];
static const char* verdicts[kMostCalls];
static int call_count;

static void Add(long number, long first, long second) {
  calls[call_count] = (struct Call){number, {first, second, 0}};
  ++call_count;
}

int Calls(char** arguments) {
  const int count = atoi(arguments[0]);
  for (int number = 0; number < count && number < kMostCalls; ++number) {
    if (number != kUretprobe && number != kUprobe) Add(number, 0, 0);
  }
  const int failed = AskFilter(calls, call_count, verdicts);
  for (int i = 0; i < call_count; ++i) printf("%ld=%s\n", calls[i].number, verdicts[i]);
  fflush(stdout);
  _exit(failed);
}

int CloneFlags(char** arguments) {
  (void)arguments;
  static const struct {
    const char* name;
    long flag;
  } kFlags[] = {{"none", 0},
                {"thread", CLONE_VM | CLONE_THREAD | CLONE_SIGHAND},
                {"time", CLONE_NEWTIME},
                {"mnt", CLONE_NEWNS},
                {"cgroup", CLONE_NEWCGROUP},
                {"uts", CLONE_NEWUTS},
                {"ipc", CLONE_NEWIPC},
                {"user", CLONE_NEWUSER},
                {"pid", CLONE_NEWPID},
                {"net", CLONE_NEWNET},
                {"user-high", CLONE_NEWUSER | (long)(1UL << 63)},
                {"all", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET}};
  const int count = sizeof kFlags / sizeof *kFlags;
  for (int i = 0; i < count; ++i) {
    Add(SYS_clone, kFlags[i].flag, 0);
    Add(SYS_unshare, kFlags[i].flag, 0);
    Add(SYS_clone3, kFlags[i].flag, 0);
  }
  const int failed = AskFilter(calls, call_count, verdicts);
  for (int i = 0; i < count; ++i) {
    printf("clone.%s=%s\nunshare.%s=%s\nclone3.%s=%s\n", kFlags[i].name, verdicts[3 * i],
           kFlags[i].name, verdicts[3 * i + 1], kFlags[i].name, verdicts[3 * i + 2]);
  }
  fflush(stdout);
  _exit(failed);
}

/* Really made: the kernel's answer to what the filter lets through counts too. */
int Sockets(char** arguments) {
  (void)arguments;
  static const int kTypes[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW};
  for (int family = 0; family < 46; ++family) {
    for (int type = 0; type < 3; ++type) {
      const int fd = socket(family, kTypes[type] | SOCK_CLOEXEC, 0);
      printf("socket.%d.%d=%s\n", family, kTypes[type], Verdict(fd));
      if (fd >= 0) close(fd);
      int pair[2];
      const int paired = socketpair(family, kTypes[type] | SOCK_CLOEXEC, 0, pair);
      printf("socketpair.%d.%d=%s\n", family, kTypes[type], Verdict(paired));
    }
  }
  /* The kernel takes an int; the filter sees 64 bits. */
  printf("socket.high=%s\n",
         Verdict(syscall(SYS_socket, 0x100000000L | AF_ALG, SOCK_SEQPACKET, 0)));
  for (int protocol = 0; protocol < 23; ++protocol) {
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    printf("netlink.%d=%s\n", protocol, Verdict(fd));
    if (fd >= 0) close(fd);
  }
  return 0;
}

int Terminal(char** arguments) {
  (void)arguments;
  const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  int unlock = 0;
  char name[64];
  unsigned number = 0;
  if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0 ||
      ioctl(master, TIOCGPTN, &number) < 0) {
    printf("master=%s\n", Verdict(-1));
    return 1;
  }
  snprintf(name, sizeof name, "/dev/pts/%u", number);
  setsid();
  const int terminal = open(name, O_RDWR | O_CLOEXEC);
  printf("terminal=%s\n", Verdict(terminal));
  printf("control=%s\n", Verdict(ioctl(terminal, TIOCSCTTY, 0)));
  static const long kHigh[] = {0, 0x100000000L, 0x7fffffff00000000L, (long)0xffffffff00000000UL};
  for (int i = 0; i < 4; ++i) {
    char byte = 'x';
    printf("push.%d=%s\n", i, Verdict(syscall(SYS_ioctl, terminal, TIOCSTI | kHigh[i], &byte)));
    byte = 4;
    printf("console.%d=%s\n", i, Verdict(syscall(SYS_ioctl, terminal, 0x541c | kHigh[i], &byte)));
  }
  struct winsize size;
  printf("size=%s\n", Verdict(ioctl(terminal, TIOCGWINSZ, &size)));
  return 0;
}

int ForeignX32(char** arguments) {
  (void)arguments;
  printf("x32=%s\n", Verdict(syscall(0x40000000 | SYS_getpid)));
  return 0;
}

int ForeignI386(char** arguments) {
  (void)arguments;
  long result;
  /* getpid of the 32-bit table. */
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
  printf("i386=%ld\n", result);
  return 0;
}
