// A second wall behind read-only mounts: Landlock lets the program write only where its mount plan
// says so, and neither signal nor speak over abstract sockets to whoever is not of its sandbox.
//
// Kernels without Landlock, or with less of it, have the first walls only; `rundlet doctor` says
// so. chmod, chown, times and attributes are not what Landlock looks at.
#include <dirent.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include "runtime/child/child.h"
#include "runtime/child/defences.h"

namespace rundlet::runtime {
namespace {

// What the oldest supported headers do not know.
constexpr uint64_t kTruncate = 1 << 14;  // from version 3
constexpr uint64_t kAbstractSockets = 1 << 0;
constexpr uint64_t kSignals = 1 << 1;  // both from version 6
struct Attributes {
  uint64_t files;
  uint64_t network;
  uint64_t scopes;
};

// The first version without which every rename to another directory would fail.
constexpr long kLeastVersion = 2;
constexpr uint64_t kIntoFiles = LANDLOCK_ACCESS_FS_WRITE_FILE;
constexpr uint64_t kWrites =
    kIntoFiles | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;

struct Ruleset {
  Prepared& prepared;
  int fd;
  uint64_t into_files;
  uint64_t writes;
};

// Not everything can be named in a rule: what belongs to no mount (pipes, memory files) needs none.
void Allow(const Ruleset& rules, int place, uint64_t what) {
  landlock_path_beneath_attr rule{};
  rule.allowed_access = what;
  rule.parent_fd = place;
  if (syscall(SYS_landlock_add_rule, rules.fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 &&
      errno != EBADFD) {
    Fail(rules.prepared, Stage::kRestricted, errno);
  }
}

void AllowFile(const Ruleset& rules, int file) {
  struct stat info;
  if (fstat(file, &info) == 0 && !S_ISDIR(info.st_mode)) Allow(rules, file, rules.into_files);
}

bool MayWrite(const Prepared& prepared, const struct statx& info) {
  if (prepared.keeps != Keeps::kNothing || info.stx_uid == prepared.uid) return true;
  if (info.stx_gid == prepared.gid && (info.stx_mode & S_IWGRP) != 0) return true;
  return (info.stx_mode & S_IWOTH) != 0;
}

// Whether something is mounted below `path` (of the new root, without the slash before it).
bool HoldsMounts(const Prepared& prepared, const char* path) {
  const size_t length = strlen(path);
  for (size_t i = 1; i < prepared.mount_count; ++i) {
    const char* target = prepared.mounts[i].target;
    if (length == 0 || (strncmp(target, path, length) == 0 && target[length] == '/')) return true;
  }
  return false;
}

void AllowEntries(const Ruleset& rules, int directory, const char* path);
void AllowKnownEntries(const Ruleset& rules, int root);

// A rule holds for everything below, mounts included. So a directory that holds mounts gets rules
// for its entries instead, if the program could not make new ones in it anyway.
void AllowEntry(const Ruleset& rules, int place, const char* path) {
  struct statx info;
  if (statx(place, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &info) < 0)
    Fail(rules.prepared, Stage::kRestricted, errno);
  const bool mount = (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  if (mount && *path != '\0') return;  // it has a rule of its own
  if (!S_ISDIR(info.stx_mode)) {
    Allow(rules, place, rules.into_files);
  } else if (HoldsMounts(rules.prepared, path) && !MayWrite(rules.prepared, info)) {
    if (*path == '\0' && rules.prepared.entries != nullptr) {
      AllowKnownEntries(rules, place);
    } else {
      AllowEntries(rules, place, path);
    }
  } else {
    Allow(rules, place, rules.writes);
  }
}

void AllowEntries(const Ruleset& rules, int directory, const char* path) {
  alignas(dirent64) char entries[4096];
  const int list = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (list < 0) Fail(rules.prepared, Stage::kRestricted, errno);
  long size;
  while ((size = syscall(SYS_getdents64, list, entries, sizeof entries)) > 0) {
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      const char* name = entry->d_name;
      at += entry->d_reclen;
      if (entry->d_type == DT_LNK || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
      char below[PATH_MAX];
      const int length = snprintf(below, sizeof below, "%s%s%s", path, *path == 0 ? "" : "/", name);
      const int place = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
      if (place < 0 || length < 0 || length >= PATH_MAX) continue;
      AllowEntry(rules, place, below);
      close(place);
    }
  }
  close(list);
}

void AllowKnownEntries(const Ruleset& rules, int root) {
  for (const char* const* name = rules.prepared.entries; *name != nullptr; ++name) {
    const int place = openat(root, *name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (place < 0) Fail(rules.prepared, Stage::kRestricted, errno);
    AllowEntry(rules, place, *name);
    close(place);
  }
}

// What is shared is mounted read-only; overlays without a writable layer need no second wall, but
// cannot be told apart here.
bool Shares(const Prepared& prepared) {
  for (size_t i = 1; i < prepared.mount_count; ++i) {
    const PreparedMount& mount = prepared.mounts[i];
    if (mount.kind == PreparedMount::Kind::kAttach &&
        mount.writes == PreparedMount::Writes::kNothing)
      return true;
  }
  return false;
}

void AllowMounts(const Ruleset& rules) {
  for (size_t i = 0; i < rules.prepared.mount_count; ++i) {
    const PreparedMount& mount = rules.prepared.mounts[i];
    switch (mount.writes) {
      case PreparedMount::Writes::kNothing:
        break;
      case PreparedMount::Writes::kDevices:
        Allow(rules, mount.fd, rules.into_files);
        break;
      case PreparedMount::Writes::kAll:
        if (i == 0 && Shares(rules.prepared)) {
          AllowEntry(rules, mount.fd, "");
        } else {
          Allow(rules, mount.fd, mount.directory ? rules.writes : rules.into_files);
        }
        break;
    }
  }
}

}  // namespace

void RestrictWrites(Prepared& prepared) {
  const long version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (!Stands(Defence::kLandlock) || version < kLeastVersion) return;
  const uint64_t truncate = version >= 3 ? kTruncate : 0;
  const Attributes attributes = {.files = kWrites | truncate,
                                 .network = 0,
                                 .scopes = version >= 6 ? kAbstractSockets | kSignals : 0};
  const Ruleset rules = {.prepared = prepared,
                         .fd = static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes,
                                                        sizeof attributes, 0)),
                         .into_files = kIntoFiles | truncate,
                         .writes = attributes.files};
  if (rules.fd < 0) Fail(prepared, Stage::kRestricted, errno);
  AllowMounts(rules);
  for (const int file : prepared.standard) AllowFile(rules, file);
  for (size_t i = 0; i < prepared.file_count; ++i) AllowFile(rules, prepared.files[i]);
  if (syscall(SYS_landlock_restrict_self, rules.fd, 0) < 0)
    Fail(prepared, Stage::kRestricted, errno);
  close(rules.fd);
  Reach(prepared, Stage::kRestricted);
}

}  // namespace rundlet::runtime
