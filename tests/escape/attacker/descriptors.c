#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attack.h"

enum { kStandard = 2, kMost = 4096 };

static const char* LeftOpen(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  for (int fd = kStandard + 1; fd < kMost; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) return "open";
  }
  return "none";
}

/* A directory of the host that was left open would lead to its parents. */
static const char* Outside(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  for (int fd = 0; fd < kMost; ++fd) {
    if (openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC) >= 0) return "led out";
  }
  return "none";
}

static const char* Directory(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  char path[4096];
  return getcwd(path, sizeof path) != NULL && path[0] == '/' ? "inside" : "outside";
}

/* The same through the descriptors of init and of others, and their roots and directories. */
static const char* ThroughProc(long pid, long unused) {
  (void)unused;
  static const char* const kPlaces[] = {
      "root/..", "cwd/..", "fd/0", "fd/3",       "fd/4",      "fd/5",   "exe",   "mem",
      "environ", "auxv",   "maps", "task/1/mem", "map_files", "ns/mnt", "stack", "syscall"};
  for (size_t i = 0; i < sizeof kPlaces / sizeof *kPlaces; ++i) {
    char path[128];
    char byte;
    snprintf(path, sizeof path, "/proc/%ld/%s", pid, kPlaces[i]);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && (read(fd, &byte, 1) >= 0 || strchr(kPlaces[i], '.') != NULL)) {
      fprintf(stderr, "%s could be read\n", path);
      return "read";
    }
  }
  return "none";
}

void Descriptors(void) {
  Try("none", LeftOpen, 0, 0, "descriptors/left open");
  Try("none", Outside, 0, 0, "descriptors/leading out");
  Try("inside", Directory, 0, 0, "descriptors/the working directory");
  Try("none", ThroughProc, 1, 0, "descriptors/of init");
}
