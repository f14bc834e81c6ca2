#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack.h"

enum { kInit = 1 };

static const char* Trace(long request, long pid) {
  return Verdict(ptrace((enum __ptrace_request)request, (pid_t)pid, 0, 0));
}

static const char* Memory(long number, long pid) {
  char bytes[8] = "";
  const struct iovec here = {bytes, sizeof bytes};
  const struct iovec there = {bytes, sizeof bytes};
  return Verdict(syscall(number, pid, &here, 1, &there, 1, 0));
}

static const char* TakeDescriptor(long pid, long number) {
  const long process = syscall(SYS_pidfd_open, pid, 0);
  if (process < 0) return Verdict(-1);
  return Verdict(syscall(SYS_pidfd_getfd, process, number, 0));
}

static const char* Advise(long pid, long unused) {
  (void)unused;
  const long process = syscall(SYS_pidfd_open, pid, 0);
  const struct iovec all = {0, 4096};
  if (process < 0) return Verdict(-1);
  return Verdict(syscall(SYS_process_madvise, process, &all, 1, 20 /* MADV_COLD */, 0));
}

static const char* Signal(long pid, long number) { return Verdict(kill((pid_t)pid, (int)number)); }

/* Whoever it reaches but this process: with a signal that does nothing. */
static const char* SignalAll(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  return Verdict(kill(-1, 0));
}

/* Numbers of processes that are not of this sandbox have no meaning here. */
static const char* Others(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  for (pid_t pid = 3; pid < 4096; ++pid) {
    if (pid == getpid() || pid == getppid()) continue;
    if (kill(pid, 0) == 0 || errno == EPERM) return "seen";
  }
  return "none";
}

static const char* Keys(long operation, long unused) {
  (void)unused;
  return Verdict(syscall(SYS_keyctl, operation, KEY_SPEC_SESSION_KEYRING, 0, 0, 0));
}

static const char* AddKey(long ring, long unused) {
  (void)unused;
  return Verdict(syscall(SYS_add_key, "user", "rundlet-attacker", "x", 1, ring));
}

static const char* RequestKey(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  return Verdict(syscall(SYS_request_key, "user", "rundlet-canary", NULL, 0));
}

/* A key of whoever started the sandbox, by its description. */
static const char* CallersKey(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  return Verdict(
      syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "rundlet-canary", 0));
}

/* RUNDLET_PORT: where the host listens. */
static const char* HostsLoopback(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  const char* port = getenv("RUNDLET_PORT");
  const struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((unsigned short)(port ? atoi(port) : 1)),
                                      .sin_addr = {htonl(INADDR_LOOPBACK)}};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return Verdict(connect(fd, (const struct sockaddr*)&address, sizeof address));
}

static const char* HostsAbstract(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  const char* port = getenv("RUNDLET_PORT");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1,
                              "rundlet-canary-%s", port ? port : "");
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return Verdict(connect(fd, (const struct sockaddr*)&address,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)));
}

/* RUNDLET_VICTIM: a process of another sandbox, as the host numbers it. */
static const char* OtherSandbox(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  const char* pid = getenv("RUNDLET_VICTIM");
  return Verdict(kill(pid ? atoi(pid) : 1 << 21, 0));
}

void Processes(void) {
  static const struct {
    const char* name;
    long request;
  } kRequests[] = {{"attach to", PTRACE_ATTACH},
                   {"seize", PTRACE_SEIZE},
                   {"peek into", PTRACE_PEEKDATA},
                   {"be traced by", PTRACE_TRACEME}};
  for (size_t i = 0; i < sizeof kRequests / sizeof *kRequests; ++i) {
    Try("EPERM", Trace, kRequests[i].request, kInit, "processes/%s init", kRequests[i].name);
    Try("EPERM", Trace, kRequests[i].request, getpid(), "processes/%s another of its own",
        kRequests[i].name);
  }
  for (long pid = kInit; pid <= getpid(); pid += getpid() - kInit) {
    const char* whom = pid == kInit ? "init" : "another of its own";
    Try("EPERM", Memory, SYS_process_vm_readv, pid, "processes/read the memory of %s", whom);
    Try("EPERM", Memory, SYS_process_vm_writev, pid, "processes/write the memory of %s", whom);
    Try("EPERM", TakeDescriptor, pid, 0, "processes/take a descriptor of %s", whom);
    Try("EPERM", Advise, pid, 0, "processes/page out %s", whom);
  }
  Try("EPERM", Signal, kInit, SIGKILL, "processes/kill init");
  Try("EPERM", Signal, kInit, SIGSTOP, "processes/stop init");
  Try("DONE", SignalAll, 0, 0, "processes/signal everybody"); /* its own parent */
  Try("none", Others, 0, 0, "processes/find others");
  Try("ESRCH", OtherSandbox, 0, 0, "processes/signal another sandbox");
  static const struct {
    const char* name;
    long operation;
  } kOperations[] = {{"name the session keyring", KEYCTL_GET_KEYRING_ID},
                     {"join a session keyring", KEYCTL_JOIN_SESSION_KEYRING},
                     {"describe the session keyring", KEYCTL_DESCRIBE},
                     {"read the session keyring", KEYCTL_READ}};
  for (size_t i = 0; i < sizeof kOperations / sizeof *kOperations; ++i) {
    Try("EPERM", Keys, kOperations[i].operation, 0, "keys/%s", kOperations[i].name);
  }
  Try("EPERM", AddKey, KEY_SPEC_SESSION_KEYRING, 0, "keys/add to the session keyring");
  Try("EPERM", AddKey, KEY_SPEC_USER_KEYRING, 0, "keys/add to the user's keyring");
  Try("EPERM", RequestKey, 0, 0, "keys/request");
  Try("EPERM|ENOKEY", CallersKey, 0, 0, "keys/the caller's");
  Try("ECONNREFUSED", HostsLoopback, 0, 0, "network/the host's loopback");
  Try("ECONNREFUSED|EPERM", HostsAbstract, 0, 0, "network/an abstract socket of the host");
}
