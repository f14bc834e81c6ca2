#include "filter_verdicts.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct Call* asked;
static const char** answers;
static int asked_count;
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
  for (int i = 0; i < asked_count; ++i) {
    switch (Raw(&asked[i])) {
      case -ECHRNG:
        answers[i] = "OK";
        break;
      case -EPERM:
        answers[i] = "EPERM";
        break;
      case -ENOSYS:
        answers[i] = "ENOSYS";
        break;
      default:
        answers[i] = "other";
    }
  }
  const struct Call end = {SYS_exit, {0, 0, kMostCalls}};
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
    const int end = request.data.nr == SYS_exit && request.data.args[2] == kMostCalls;
    struct seccomp_notif_resp response = {.id = request.id, .error = end ? 0 : -ECHRNG};
    if (end) response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    if (ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0) _exit(96);
    if (end) return;
  }
}

int AskFilter(const struct Call* calls, int count, const char** verdicts) {
  asked = calls;
  asked_count = count;
  answers = verdicts;
  pthread_t thread;
  if (pthread_create(&thread, NULL, Ask, NULL) != 0) return 95;
  while (atomic_load(&listener) < 0) sched_yield();
  Answer(atomic_load(&listener));
  /* Not joined: the thread left by a bare exit. */
  return 0;
}
