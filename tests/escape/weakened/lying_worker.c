// A worker that was taken over: whatever it is asked, it prints what the tests write into a copy of
// this program. A gate to package indexes writes it where failures are told
// (rootfs/worker/index_gate.h). For tests only: never installed.
#include <stdio.h>
#include <unistd.h>

// Not a constant to the compiler: its text is another one when it runs.
static volatile char says[1024] = "rundlet-lying-worker says:";

int main(void) {
  enum { kMark = sizeof "rundlet-lying-worker says:" - 1, kFailures = 4 };
  for (int i = kMark; i < (int)sizeof says && says[i] != 0; ++i) {
    const char letter = says[i];
    putchar(letter);
    if (write(kFailures, &letter, 1) < 0) continue;  // most workers have no such file
  }
  return 0;
}
