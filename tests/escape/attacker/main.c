#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack.h"

enum { kWord = 64, kName = 256, kSeconds = 5 };

static char** asked;
static int count;
static int through;
static char* word; /* shared with the process of the attack */

const char* Verdict(long result) { return result >= 0 ? "DONE" : strerrorname_np(errno); }

static bool Asked(const char* name) {
  if (*asked == NULL) return true;
  for (char** prefix = asked; *prefix != NULL; ++prefix) {
    if (strncmp(name, *prefix, strlen(*prefix)) == 0) return true;
  }
  return false;
}

bool Wanted(const char* group) {
  if (*asked == NULL) return true;
  for (char** prefix = asked; *prefix != NULL; ++prefix) {
    if (strncmp(*prefix, group, strlen(group)) == 0) return true;
  }
  return false;
}

static bool Among(const char* words, const char* one) {
  const size_t length = strlen(one);
  for (const char* at = words; at != NULL; at = strchr(at, '|')) {
    if (*at == '|') ++at;
    if (strncmp(at, one, length) == 0 && (at[length] == '\0' || at[length] == '|')) return true;
  }
  return false;
}

static void Print(const char* held, const char* got, const char* name) {
  const bool good = Among(held, got);
  ++count;
  if (good) {
    printf("ok %d - %s: %s\n", count, name, got);
  } else {
    ++through;
    printf("not ok %d - %s: %s instead of %s\n", count, name, got, held);
  }
}

void Report(const char* held, const char* got, const char* format, ...) {
  char name[kName];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(name, sizeof name, format, arguments);
  va_end(arguments);
  if (Asked(name)) Print(held, got, name);
}

void Try(const char* held, Attack* attack, long first, long second, const char* format, ...) {
  char name[kName];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(name, sizeof name, format, arguments);
  va_end(arguments);
  if (!Asked(name)) return;
  fflush(stdout);
  snprintf(word, kWord, "nothing");
  const pid_t attacker = fork();
  if (attacker == 0) {
    const struct itimerval limit = {.it_value = {.tv_sec = kSeconds}};
    setitimer(ITIMER_REAL, &limit, NULL);
    const char* got = attack(first, second);
    snprintf(word, kWord, "%s", got);
    _exit(0);
  }
  int status = 0;
  if (attacker < 0 || waitpid(attacker, &status, 0) != attacker) {
    snprintf(word, kWord, "not tried");
  } else if (WIFSIGNALED(status)) {
    snprintf(word, kWord, "SIG%s", sigabbrev_np(WTERMSIG(status)));
  }
  Print(held, word, name);
}

/* Init gives up its privileges while its program already runs; what is attacked is init as it then
   is, asleep. */
static void WaitForInit(void) {
  const char* state;
  do {
    static char text[512];
    sched_yield();
    const int fd = open("/proc/1/stat", O_RDONLY | O_CLOEXEC);
    const ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (length <= 0) return;
    text[length] = '\0';
    state = strrchr(text, ')');
  } while (state != NULL && state[1] == ' ' && state[2] != 'S');
}

int main(int argument_count, char** arguments) {
  const struct rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  word = mmap(NULL, kWord, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (word == MAP_FAILED || argument_count < 1) return 99;
  if (argument_count > 1 && strcmp(arguments[1], "facts") == 0) return Facts(arguments + 2);
  asked = arguments + 1;
  WaitForInit();
  printf("TAP version 13\n");
  Calls();
  Namespaces();
  Sockets();
  Terminals();
  Processes();
  Privileges();
  Descriptors();
  Root();
  ReadOnly();
  Proc();
  Shared();
  printf("1..%d\n", count);
  return through == 0 ? 0 : 1;
}
