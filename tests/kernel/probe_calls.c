/* The system-call filter, asked without making the calls: a second filter on a thread hands every
 * call that the sandbox's own filter lets through to the main thread, which answers ECHRNG. What
 * the sandbox's filter refuses never arrives, because an error ranks above a notification. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

enum {
  kMost = 1024,
  /* Newer kernels show these to no filter: they are for their own trampolines, and kill or refuse
   * whoever else makes them. */
  kUretprobe = 335,
  kUprobe = 336,
};

struct Call {
  long number;
  long arguments[3];
};

static struct Call calls[kMost];
static const char* verdicts[kMost];
static int call_count;
static atomic_int listener = -1;

static long Raw(const struct Call* call) {
  long result;
  register long r10 __asm__("r10") = 0;
  register long r8 __asm__("r8") = 0;
  register long r9 __asm__("r9") = 0;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(call->number), "D"(call->arguments[0]), "S"(call->arguments[1]),
                     "d"(call->arguments[2]), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

static void* Ask(void* unused) {
  struct sock_filter all[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF}};
  const struct sock_fprog program = {1, all};
  atomic_store(&listener, (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                       SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
  /* From here on nothing but the calls asked about: any other would wait for an answer as well. */
  for (int i = 0; i < call_count; ++i) {
    switch (Raw(&calls[i])) {
      case -ECHRNG:
        verdicts[i] = "OK";
        break;
      case -EPERM:
        verdicts[i] = "EPERM";
        break;
      case -ENOSYS:
        verdicts[i] = "ENOSYS";
        break;
      default:
        verdicts[i] = "other";
    }
  }
  const struct Call end = {SYS_exit, {0, 0, kMost}};
  Raw(&end);
  return unused;
}

/* Answers until the thread asks to exit with the mark that only its end has. */
static void Answer(int fd) {
  while (1) {
    struct seccomp_notif request;
    memset(&request, 0, sizeof request);
    if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &request) < 0) {
      if (errno == EINTR) continue;
      _exit(97);
    }
    const int end = request.data.nr == SYS_exit && request.data.args[2] == kMost;
    struct seccomp_notif_resp response = {.id = request.id, .error = end ? 0 : -ECHRNG};
    if (end) response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    if (ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0) _exit(96);
    if (end) return;
  }
}

static int AskAll(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, Ask, NULL) != 0) return 95;
  while (atomic_load(&listener) < 0) sched_yield();
  Answer(atomic_load(&listener));
  /* Not joined: the thread left by a bare exit. */
  return 0;
}

static void Add(long number, long first, long second) {
  calls[call_count] = (struct Call){number, {first, second, 0}};
  ++call_count;
}

int Calls(char** arguments) {
  const int count = atoi(arguments[0]);
  for (int number = 0; number < count && number < kMost; ++number) {
    if (number != kUretprobe && number != kUprobe) Add(number, 0, 0);
  }
  const int failed = AskAll();
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
  const int failed = AskAll();
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
