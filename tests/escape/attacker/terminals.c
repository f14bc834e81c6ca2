#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attack.h"

static const long kHigh[] = {0, 0x100000000L, 0x7fffffff00000000L, (long)0xffffffff00000000UL};

/* The session's own terminal, where the kernel itself would let a process push input. */
static int OwnTerminal(void) {
  char name[64];
  unsigned number = 0;
  int unlock = 0;
  const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0 || ioctl(master, TIOCGPTN, &number) < 0)
    return -1;
  snprintf(name, sizeof name, "/dev/pts/%u", number);
  setsid();
  const int terminal = open(name, O_RDWR | O_CLOEXEC);
  return terminal >= 0 && ioctl(terminal, TIOCSCTTY, 0) < 0 ? -1 : terminal;
}

static const char* Push(long request, long unused) {
  (void)unused;
  const int terminal = OwnTerminal();
  if (terminal < 0) return "no terminal";
  char byte = 'x';
  return Verdict(syscall(SYS_ioctl, terminal, request, &byte));
}

static const char* OpenCallers(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  return Verdict(open("/dev/tty", O_RDWR | O_CLOEXEC));
}

static const char* PushIntoCallers(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  const int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
  char byte = 'x';
  if (terminal < 0) return Verdict(-1);
  return Verdict(syscall(SYS_ioctl, terminal, TIOCSTI, &byte));
}

/* Of a terminal that was passed on as standard input. */
static const char* PushIntoInput(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  char byte = 'x';
  return Verdict(syscall(SYS_ioctl, 0, TIOCSTI, &byte));
}

static const char* TakeInput(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  setsid();
  return Verdict(ioctl(0, TIOCSCTTY, 1));
}

void Terminals(void) {
  for (size_t i = 0; i < sizeof kHigh / sizeof *kHigh; ++i) {
    const unsigned long high = (unsigned long)kHigh[i] >> 32;
    Try("EPERM", Push, TIOCSTI | kHigh[i], 0, "terminals/TIOCSTI above %lx", high);
    Try("EPERM", Push, TIOCLINUX | kHigh[i], 0, "terminals/TIOCLINUX above %lx", high);
  }
  Try("ENXIO", OpenCallers, 0, 0, "terminals/the caller's by name");
  Try("ENXIO|EPERM", PushIntoCallers, 0, 0, "terminals/into the caller's");
  Try("EPERM", PushIntoInput, 0, 0, "terminals/into standard input");
  Try("EPERM|ENOTTY", TakeInput, 0, 0, "terminals/standard input becomes its own");
}
