#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char** environ;

const char* Verdict(long result) { return result >= 0 ? "OK" : strerrorname_np(errno); }

static void Namespaces(void) {
  static const char* const kNames[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
  for (size_t i = 0; i < sizeof kNames / sizeof *kNames; ++i) {
    char path[64];
    char target[64] = "";
    snprintf(path, sizeof path, "/proc/self/ns/%s", kNames[i]);
    if (readlink(path, target, sizeof target - 1) < 0) snprintf(target, sizeof target, "none");
    printf("ns.%s=%s\n", kNames[i], target);
  }
}

/* The lines of a status file as PREFIX.NAME=VALUE. */
static void Status(const char* prefix, const char* path) {
  FILE* file = fopen(path, "re");
  char line[512];
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    char* colon = strchr(line, ':');
    if (colon == NULL) continue;
    *colon = '\0';
    printf("%s.%s=%s", prefix, line, colon + 1 + strspn(colon + 1, " \t"));
  }
  if (file != NULL) fclose(file);
}

static void Descriptors(void) {
  DIR* directory = opendir("/proc/self/fd");
  int open[64] = {0};
  const struct dirent* entry;
  while (directory != NULL && (entry = readdir(directory)) != NULL) {
    const int fd = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != dirfd(directory) && fd < 64) open[fd] = 1;
    if (entry->d_name[0] != '.' && fd >= 64) printf("fd.high=%d\n", fd);
  }
  printf("fds=");
  for (int fd = 0; fd < 64; ++fd) {
    if (open[fd]) printf("%d ", fd);
  }
  printf("\n");
  if (directory != NULL) closedir(directory);
}

static void Limits(void) {
  static const struct {
    const char* name;
    int which;
  } kLimits[] = {{"core", RLIMIT_CORE}, {"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC}};
  for (size_t i = 0; i < sizeof kLimits / sizeof *kLimits; ++i) {
    struct rlimit limit;
    getrlimit((unsigned)kLimits[i].which, &limit);
    printf("limit.%s=%llu %llu\n", kLimits[i].name, (unsigned long long)limit.rlim_cur,
           (unsigned long long)limit.rlim_max);
  }
}

int Facts(char** arguments) {
  (void)arguments;
  char text[4096];
  Namespaces();
  Status("self", "/proc/self/status");
  Status("init", "/proc/1/status");
  printf("securebits=%x\n", (unsigned)prctl(PR_GET_SECUREBITS));
  printf("init.exe=%s\n", Verdict(readlink("/proc/1/exe", text, sizeof text)));
  printf("init.environ=%s\n", Verdict(open("/proc/1/environ", O_RDONLY | O_CLOEXEC)));
  Descriptors();
  Limits();
  for (char** variable = environ; *variable != NULL; ++variable) printf("env.%s\n", *variable);
  printf("cwd=%s\n", getcwd(text, sizeof text));
  gethostname(text, sizeof text);
  printf("hostname=%s\n", text);
  const mode_t mask = umask(0);
  printf("umask=%o\n", mask);
  printf("pid=%d\nppid=%d\nsession=%d\n", getpid(), getppid(), getsid(0));
  printf("terminal=%s\n", Verdict(open("/dev/tty", O_RDWR | O_CLOEXEC)));
  struct winsize size;
  if (ioctl(0, TIOCGWINSZ, &size) == 0) {
    printf("size=%u %u\n", size.ws_row, size.ws_col);
  } else {
    printf("size=%s\n", Verdict(-1));
  }
  return 0;
}

static int Exit(char** arguments) { return atoi(arguments[0]); }

static int Echo(char** arguments) {
  for (; *arguments != NULL; ++arguments) puts(*arguments);
  return 0;
}

static int Copy(char** arguments) {
  (void)arguments;
  char buffer[4096];
  ssize_t count;
  while ((count = read(0, buffer, sizeof buffer)) > 0) {
    if (write(1, buffer, (size_t)count) != count) return 1;
  }
  return count == 0 ? 0 : 1;
}

int main(int count, char** arguments) {
  static const struct {
    const char* name;
    int (*run)(char**);
  } kCommands[] = {
      {"facts", Facts},
      {"exit", Exit},
      {"echo", Echo},
      {"copy", Copy},
      {"raise", Raise},
      {"read", Read},
      {"list", List},
      {"stat", Stat},
      {"write", Write},
      {"open", Open},
      {"fill", Fill},
      {"read-only", ReadOnly},
      {"writable", Writable},
      {"calls", Calls},
      {"clone-flags", CloneFlags},
      {"sockets", Sockets},
      {"terminal", Terminal},
      {"x32", ForeignX32},
      {"i386", ForeignI386},
      {"network", Network},
      {"abstract", Abstract},
      {"ask", Ask},
      {"scatter", Scatter},
      {"obedient", Obedient},
      {"stubborn", Stubborn},
      {"stopped", Stopped},
      {"kill-all", KillAll},
      {"eat", Eat},
      {"eat-together", EatTogether},
      {"eat-aside", EatAside},
      {"multiply", Multiply},
      {"burn", Burn},
      {"open-many", OpenMany},
      {"inodes", Inodes},
  };
  for (size_t i = 0; count > 1 && i < sizeof kCommands / sizeof *kCommands; ++i) {
    if (strcmp(arguments[1], kCommands[i].name) == 0) return kCommands[i].run(arguments + 2);
  }
  fprintf(stderr, "no such command\n");
  return 99;
}
