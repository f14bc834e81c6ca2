/* Programs that take more than they should. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

static void Touch(size_t bytes) {
  char* memory = malloc(bytes);
  if (memory == NULL) _exit(97);
  for (size_t i = 0; i < bytes; i += 4096) ((volatile char*)memory)[i] = 1;
}

int Eat(char** arguments) {
  Touch(strtoull(arguments[0], NULL, 10));
  printf("ate\n");
  return 0;
}

/* All at the same time: each waits with its share until the last one has its own. */
int EatTogether(char** arguments) {
  const int count = atoi(arguments[0]);
  int ready[2];
  if (pipe(ready) < 0) return 1;
  for (int i = 0; i < count; ++i) {
    if (fork() != 0) continue;
    Touch(strtoull(arguments[1], NULL, 10));
    if (write(ready[1], "x", 1) != 1) _exit(1);
    while (1) pause();
  }
  for (int i = 0; i < count; ++i) {
    char byte;
    if (read(ready[0], &byte, 1) != 1) return 1;
  }
  printf("ate\n");
  return 0;
}

/* In a child: the program itself waits, and would for ever. */
int EatAside(char** arguments) {
  if (fork() == 0) {
    Touch(strtoull(arguments[0], NULL, 10));
    _exit(0);
  }
  while (1) pause();
}

int Multiply(char** arguments) {
  const int most = atoi(arguments[0]);
  int made = 0;
  pid_t pid = 0;
  while (made < most && (pid = fork()) > 0) ++made;
  if (pid == 0) {
    while (1) pause();
  }
  printf("made=%d\nlast=%s\n", made, Verdict(pid));
  return 0;
}

static double Seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int Burn(char** arguments) {
  const double end = atof(arguments[0]);
  const double begin = Seconds(CLOCK_MONOTONIC);
  while (Seconds(CLOCK_PROCESS_CPUTIME_ID) < end) {
  }
  printf("took=%f\n", Seconds(CLOCK_MONOTONIC) - begin);
  return 0;
}

int OpenMany(char** arguments) {
  (void)arguments;
  int made = 0;
  int fd;
  while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) ++made;
  printf("made=%d\nlast=%s\n", made, Verdict(fd));
  return 0;
}

int Inodes(char** arguments) {
  char path[4096];
  int made = 0;
  int fd;
  while (1) {
    snprintf(path, sizeof path, "%s/%d", arguments[0], made);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) break;
    close(fd);
    ++made;
  }
  printf("made=%d\nlast=%s\n", made, Verdict(fd));
  return 0;
}
