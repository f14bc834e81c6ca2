#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack.h"
#include "filter_verdicts.h"

enum { kLast = 470, kLastX32 = 547 };
static const long kX32 = 0x40000000;

struct Expected {
  long number;
  const char* name;
  const char* held;
};

static const struct Expected kExpected[] = {
#define CALL(number, name, held) {number, #name, #held},
#include "system_calls.inc"
#undef CALL
};
static const size_t kExpectedCount = sizeof kExpected / sizeof *kExpected;

static const struct Expected* Find(long number) {
  for (size_t i = 0; i < kExpectedCount; ++i) {
    if (kExpected[i].number == number) return &kExpected[i];
  }
  return NULL;
}

/* The filter is asked in a process of its own, which can do nothing else afterwards. */
static void Table(void) {
  static struct Call calls[kMostCalls];
  const size_t size = kMostCalls * sizeof(const char*);
  const char** verdicts =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int asked = 0;
  for (long number = 0; number <= kLast; ++number) {
    if (number == kUretprobe || number == kUprobe) continue;
    calls[asked++].number = number;
  }
  const pid_t child = fork();
  if (child == 0) _exit(AskFilter(calls, asked, verdicts));
  int status = -1;
  waitpid(child, &status, 0);
  Report("answered", status == 0 ? "answered" : "not answered", "calls/the filter");
  for (int i = 0; i < asked && status == 0; ++i) {
    const struct Expected* expected = Find(calls[i].number);
    const char* verdict = strcmp(verdicts[i], "OK") == 0 ? "DONE" : verdicts[i];
    Report(expected == NULL ? "ENOSYS" : expected->held, verdict, "calls/%ld %s", calls[i].number,
           expected == NULL ? "(none)" : expected->name);
  }
  munmap(verdicts, size);
}

static const char* Native(long number, long unused) {
  (void)unused;
  return Verdict(syscall(number, 0, 0, 0, 0, 0, 0));
}

static const char* I386(long number, long unused) {
  (void)unused;
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(0L), "c"(0L), "d"(0L), "S"(0L), "D"(0L)
                   : "memory", "r8", "r9", "r10", "r11");
  errno = (int)-result;
  return Verdict(result < 0 ? -1 : result);
}

void Calls(void) {
  if (Wanted("calls/")) {
    Table();
    Try("ENOSYS", Native, -1, 0, "calls/-1");
    Try("ENOSYS", Native, (long)0xFFFFFFFFUL, 0, "calls/-1 as 32 bits");
  }
  if (Wanted("x32/")) {
    for (long number = 0; number <= kLastX32; ++number) {
      Try("SIGSYS", Native, kX32 | number, 0, "x32/%ld", number);
    }
  }
  if (Wanted("i386/")) {
    for (long number = 0; number <= kLast; ++number) {
      Try("SIGSYS", I386, number, 0, "i386/%ld", number);
    }
  }
}
