/* The system-call filter, asked without making the calls: a second filter on a thread hands every
 * call that the sandbox's own filter lets through to the main thread, which answers ECHRNG. What
 * the sandbox's filter refuses never arrives, because an error ranks above a notification. */
#pragma once

enum {
  kMostCalls = 1024,
  /* Newer kernels show these to no filter: they are for their own trampolines, and kill or refuse
   * whoever else makes them. */
  kUretprobe = 335,
  kUprobe = 336,
};

struct Call {
  long number;
  long arguments[3];
};

/* Fills in a verdict for each call: OK, EPERM, ENOSYS, other. Afterwards the process can do little
 * but print them and leave with _exit. Returns 0, or the code to leave with. */
int AskFilter(const struct Call* calls, int count, const char** verdicts);
