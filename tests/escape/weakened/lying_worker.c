// A worker that was taken over: whatever it is asked, it prints what the tests write into a copy of
// this program. For tests only: never installed.
#include <stdio.h>

// Not a constant to the compiler: its text is another one when it runs.
static volatile char says[1024] = "rundlet-lying-worker says:";

int main(void) {
  enum { kMark = sizeof "rundlet-lying-worker says:" - 1 };
  for (int i = kMark; i < (int)sizeof says && says[i] != 0; ++i) putchar(says[i]);
  return 0;
}
