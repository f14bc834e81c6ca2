#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "attack.h"

enum { kPath = 4096, kLongPath = kPath + 64, kDepth = 6 };

static char file[kPath];      /* of the mount that is being tried, or "" */
static char directory[kPath]; /* likewise */

static const char* Name(char* buffer, const char* name) {
  snprintf(buffer, kLongPath, "%s/%s", directory, name);
  return buffer;
}

static const char* Map(int protection) {
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  char* bytes = fd < 0 ? MAP_FAILED : mmap(NULL, 1, protection, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) return Verdict(-1);
  if ((protection & PROT_WRITE) == 0 && mprotect(bytes, 1, PROT_READ | PROT_WRITE) < 0)
    return Verdict(-1);
  bytes[0] = (char)(bytes[0] + 1);
  return "DONE";
}

/* The descriptor is open for reading; what it is opened again for is not checked twice anywhere. */
static const char* Reopen(void) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", open(file, O_RDONLY | O_CLOEXEC));
  return Verdict(open(path, O_WRONLY | O_CLOEXEC));
}

static const char* Exchange(void) {
  char other[kLongPath];
  return Verdict(syscall(SYS_renameat2, AT_FDCWD, file, AT_FDCWD, Name(other, ".."), 2));
}

enum Operation {
  kOpen,
  kTruncating,
  kAppending,
  kTruncate,
  kChmod,
  kFchmod,
  kChown,
  kUtimes,
  kSetxattr,
  kRemovexattr,
  kLink,
  kRename,
  kExchange,
  kUnlink,
  kMapWritten,
  kMapChanged,
  kReopened,
  kFallocate,
  kCopy,
  kLastOfFiles = kCopy,
  kCreate,
  kTemporary,
  kMkdir,
  kRmdir,
  kSymlink,
  kMkfifo,
  kChmodDirectory,
  kUtimesDirectory,
  kSetxattrDirectory,
  kRenameDirectory,
  kLastOfDirectories = kRenameDirectory,
};
static const char* const kNames[] = {"open to write",
                                     "open and truncate",
                                     "open to append",
                                     "truncate",
                                     "chmod",
                                     "fchmod",
                                     "chown",
                                     "utimes",
                                     "setxattr",
                                     "removexattr",
                                     "link",
                                     "rename",
                                     "exchange",
                                     "unlink",
                                     "map and write",
                                     "map and change",
                                     "open again to write",
                                     "fallocate",
                                     "copy into",
                                     "create",
                                     "make an unnamed file",
                                     "mkdir",
                                     "rmdir",
                                     "symlink",
                                     "mkfifo",
                                     "chmod the directory",
                                     "utimes of the directory",
                                     "setxattr of the directory",
                                     "rename the directory"};

static const char* Change(long operation, long unused) {
  (void)unused;
  char other[kLongPath];
  const char* fresh = Name(other, "attacker-fresh");
  const struct timespec times[2] = {{1, 0}, {1, 0}};
  const int reader = open(file, O_RDONLY | O_CLOEXEC);
  switch ((enum Operation)operation) {
    case kOpen:
      return Verdict(open(file, O_WRONLY | O_CLOEXEC));
    case kTruncating:
      return Verdict(open(file, O_RDONLY | O_TRUNC | O_CLOEXEC));
    case kAppending:
      return Verdict(open(file, O_RDWR | O_APPEND | O_CLOEXEC));
    case kTruncate:
      return Verdict(truncate(file, 0));
    case kChmod:
      return Verdict(chmod(file, 0777));
    case kFchmod:
      return Verdict(fchmod(reader, 0777));
    case kChown:
      return Verdict(lchown(file, getuid(), getgid()));
    case kUtimes:
      return Verdict(utimensat(AT_FDCWD, file, times, 0));
    case kSetxattr:
      return Verdict(setxattr(file, "user.attacker", "x", 1, 0));
    case kRemovexattr:
      return Verdict(removexattr(file, "user.attacker"));
    case kLink:
      return Verdict(link(file, fresh));
    case kRename:
      return Verdict(rename(file, fresh));
    case kExchange:
      return Exchange();
    case kUnlink:
      return Verdict(unlink(file));
    case kMapWritten:
      return Map(PROT_READ | PROT_WRITE);
    case kMapChanged:
      return Map(PROT_READ);
    case kReopened:
      return Reopen();
    case kFallocate:
      return Verdict(fallocate(reader, 0, 0, 1 << 20));
    case kCopy:
      return Verdict(syscall(SYS_copy_file_range, reader, 0, reader, 0, 1, 0));
    case kCreate:
      return Verdict(open(fresh, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    case kTemporary:
      return Verdict(open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
    case kMkdir:
      return Verdict(mkdir(fresh, 0755));
    case kRmdir:
      return Verdict(rmdir(directory));
    case kSymlink:
      return Verdict(symlink("x", fresh));
    case kMkfifo:
      return Verdict(mkfifo(fresh, 0600));
    case kChmodDirectory:
      return Verdict(chmod(directory, 0777));
    case kUtimesDirectory:
      return Verdict(utimensat(AT_FDCWD, directory, times, 0));
    case kSetxattrDirectory:
      return Verdict(setxattr(directory, "user.attacker", "x", 1, 0));
    case kRenameDirectory:
      return Verdict(rename(directory, "/tmp/attacker-directory"));
  }
  return "unknown";
}

/* Some regular file with content below the directory, for want of a known one. */
static bool FindFile(const char* place, int depth) {
  DIR* opened = opendir(place);
  const struct dirent* entry;
  bool found = false;
  while (opened != NULL && !found && (entry = readdir(opened)) != NULL) {
    struct stat info;
    char path[kPath];
    if (entry->d_name[0] == '.' ||
        snprintf(path, sizeof path, "%s/%s", place, entry->d_name) >= kPath ||
        lstat(path, &info) < 0)
      continue;
    if (S_ISREG(info.st_mode) && info.st_size > 0 && access(path, R_OK) == 0) {
      snprintf(file, sizeof file, "%s", path);
      found = true;
    } else if (S_ISDIR(info.st_mode) && depth > 0) {
      found = FindFile(path, depth - 1);
    }
  }
  if (opened != NULL) closedir(opened);
  return found;
}

static void TryMount(const char* place) {
  /* EROFS is the mount's; what the kernel looks at before is as good. A mount point is busy. */
  static const char kHeld[] = "EROFS|EACCES|EPERM|EBUSY|EXDEV|EBADF|EINVAL|ENODATA|EOPNOTSUPP";
  struct stat info;
  file[0] = directory[0] = '\0';
  if (stat(place, &info) < 0) return;
  if (S_ISDIR(info.st_mode)) {
    snprintf(directory, sizeof directory, "%s", place);
    FindFile(place, kDepth);
  } else if (S_ISREG(info.st_mode)) {
    snprintf(file, sizeof file, "%s", place);
  }
  for (long operation = 0; operation <= kLastOfDirectories; ++operation) {
    const bool of_file = operation <= kLastOfFiles;
    if (of_file ? file[0] == '\0' : directory[0] == '\0') continue;
    Try(kHeld, Change, operation, 0, "read-only/%s: %s", place, kNames[operation]);
  }
}

void ReadOnly(void) {
  if (!Wanted("read-only/")) return;
  FILE* mounts = fopen("/proc/self/mountinfo", "re");
  char line[16384];
  int tried = 0;
  while (mounts != NULL && fgets(line, sizeof line, mounts) != NULL) {
    char place[kPath];
    char options[kPath];
    if (sscanf(line, "%*d %*d %*s %*s %4095s %4095s", place, options) != 2) continue;
    if (strncmp(options, "ro,", 3) != 0 && strcmp(options, "ro") != 0) continue;
    if (strncmp(place, "/proc", 5) == 0) continue; /* see Proc */
    TryMount(place);
    ++tried;
  }
  if (mounts != NULL) fclose(mounts);
  Report("some", tried > 0 ? "some" : "none", "read-only/mounts");
}

static const char* Named(void) {
  const char* path = getenv("RUNDLET_SHARED");
  return path == NULL ? "" : path;
}

static const char* Write(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  return Verdict(write(open(Named(), O_WRONLY | O_APPEND | O_CLOEXEC), "x", 1));
}

static const char* Read(long unused, long unused_too) {
  (void)unused;
  (void)unused_too;
  char byte;
  return Verdict(read(open(Named(), O_RDONLY | O_CLOEXEC), &byte, 1));
}

/* A descriptor that could not be opened is -1, and the errno of its use EBADF. */
void Shared(void) {
  Try("EBADF", Write, 0, 0, "shared/write");
  Try("EBADF", Read, 0, 0, "shared/read");
}
