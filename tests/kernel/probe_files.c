/* Files: what they are, and what may be done to them. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "probe.h"

int Read(char** arguments) {
  char buffer[65536];
  for (; *arguments != NULL; ++arguments) {
    const int fd = open(*arguments, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      printf("%s=%s\n", *arguments, Verdict(-1));
      continue;
    }
    ssize_t count;
    fflush(stdout);
    while ((count = read(fd, buffer, sizeof buffer)) > 0) {
      if (write(1, buffer, (size_t)count) != count) return 1;
    }
    if (count < 0) printf("%s=%s\n", *arguments, Verdict(-1));
    close(fd);
  }
  return 0;
}

int List(char** arguments) {
  DIR* directory = opendir(arguments[0]);
  if (directory == NULL) {
    printf("%s\n", Verdict(-1));
    return 1;
  }
  const struct dirent* entry;
  while ((entry = readdir(directory)) != NULL) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) puts(entry->d_name);
  }
  closedir(directory);
  return 0;
}

static const char* Kind(mode_t mode) {
  if (S_ISREG(mode)) return "file";
  if (S_ISDIR(mode)) return "directory";
  if (S_ISLNK(mode)) return "link";
  if (S_ISCHR(mode)) return "character";
  if (S_ISBLK(mode)) return "block";
  return "other";
}

int Stat(char** arguments) {
  for (; *arguments != NULL; ++arguments) {
    struct stat info;
    struct statfs system;
    if (lstat(*arguments, &info) < 0) {
      printf("%s=%s\n", *arguments, Verdict(-1));
      continue;
    }
    /* Of a link's own file system only its directory can tell. */
    if (S_ISLNK(info.st_mode) || statfs(*arguments, &system) < 0) system.f_type = 0;
    printf("%s=%s %o %u:%u %u:%u %lx\n", *arguments, Kind(info.st_mode), info.st_mode & 07777,
           info.st_uid, info.st_gid, major(info.st_rdev), minor(info.st_rdev),
           (unsigned long)system.f_type);
  }
  return 0;
}

int Write(char** arguments) {
  const int fd = open(arguments[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) {
    printf("%s\n", Verdict(-1));
    return 1;
  }
  const ssize_t count = write(fd, arguments[1], strlen(arguments[1]));
  printf("%s\n", Verdict(count));
  return count < 0;
}

int Open(char** arguments) {
  for (; *arguments != NULL; ++arguments) {
    const int fd = open(*arguments, O_WRONLY | O_CLOEXEC);
    printf("%s=%s\n", *arguments, Verdict(fd));
    if (fd >= 0) close(fd);
  }
  return 0;
}

int Fill(char** arguments) {
  static char block[65536];
  for (; *arguments != NULL; ++arguments) {
    const int fd = open(*arguments, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    long long total = 0;
    ssize_t count = -1;
    while (fd >= 0 && total < (1LL << 31) && (count = write(fd, block, sizeof block)) > 0) {
      total += count;
    }
    printf("%s=%s\n%s.bytes=%lld\n", *arguments, Verdict(count), *arguments, total);
  }
  return 0;
}

/* Everything that changes a file, its name or its directory. */
static void TryAll(const char* file, const char* directory) {
  char fresh[4096];
  char other[4096];
  snprintf(fresh, sizeof fresh, "%s/probe-fresh", directory);
  snprintf(other, sizeof other, "%s/probe-other", directory);
  const struct timespec times[2] = {{1, 0}, {1, 0}};
#define TRY(name, call) printf("%s=%s\n", name, Verdict(call))
  TRY("write", open(file, O_WRONLY | O_CLOEXEC));
  TRY("truncate", truncate(file, 0));
  TRY("chmod", chmod(file, 0600));
  TRY("chown", lchown(file, getuid(), getgid()));
  TRY("utimes", utimensat(AT_FDCWD, file, times, 0));
  TRY("setxattr", setxattr(file, "user.probe", "x", 1, 0));
  TRY("removexattr", removexattr(file, "user.probe"));
  TRY("link", link(file, fresh));
  TRY("rename", rename(file, other));
  TRY("create", open(fresh, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  TRY("temporary", open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  TRY("mkdir", mkdir(other, 0755));
  TRY("rmdir", rmdir(other));
  TRY("symlink", symlink("x", other));
  TRY("mknod", mknod(other, S_IFIFO | 0600, 0));
  TRY("unlink", unlink(file));
  TRY("chmod-directory", chmod(directory, 0700));
  TRY("utimes-directory", utimensat(AT_FDCWD, directory, times, 0));
  TRY("setxattr-directory", setxattr(directory, "user.probe", "x", 1, 0));
#undef TRY
}

int ReadOnly(char** arguments) {
  TryAll(arguments[0], arguments[1]);
  return 0;
}

int Writable(char** arguments) {
  char file[4096];
  snprintf(file, sizeof file, "%s/probe-file", arguments[0]);
#define TRY(name, call) printf("%s=%s\n", name, Verdict(call))
  TRY("create", open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  TRY("chmod", chmod(file, 0600));
  TRY("append", open(file, O_WRONLY | O_APPEND | O_CLOEXEC));
  char other[4096];
  snprintf(other, sizeof other, "%s/probe-other", arguments[0]);
  TRY("link", link(file, other));
  TRY("rename", rename(file, other));
  TRY("unlink", unlink(other));
  TRY("mkdir", mkdir(other, 0755));
  TRY("rmdir", rmdir(other));
#undef TRY
  return 0;
}
