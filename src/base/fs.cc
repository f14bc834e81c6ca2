#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "base/walls.h"

namespace rundlet::base {
namespace {

constexpr uint64_t kOnlyBeneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

int OpenBeneath(int dir, const std::string& path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = Holds(Wall::kBeneath) ? kOnlyBeneath : 0;
  while (true) {
    const long fd = syscall(SYS_openat2, dir, path.c_str(), &how, sizeof how);
    // EAGAIN: a rename raced with the resolution; the kernel asks to try again.
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return static_cast<int>(fd);
  }
}

struct DirCloser {
  void operator()(DIR* dir) const { closedir(dir); }
};

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string BaseOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// A file beside the one that it will replace. A killed process of our number, or a living one of
// another pid namespace, may have one of that name there.
struct Temporary {
  std::string name;
  UniqueFd fd;
};

Temporary NewTemporary(int parent, const std::string& name, mode_t mode) {
  static std::atomic<unsigned> counter{0};
  while (true) {
    std::string temporary = fmt::format(".{}.{}.{}", name, getpid(), counter++);
    UniqueFd fd(OpenBeneath(parent, temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    if (fd.valid()) return {std::move(temporary), std::move(fd)};
    if (errno != EEXIST) ThrowErrno("opening `{}`", temporary);
  }
}

// Directories open at once: a hostile tree is deeper than there are descriptors, or a stack holds.
constexpr int kDeepest = 64;

class TreeRemoval {
 public:
  void Remove(int parent, const std::string& name) {
    if (Unlink(parent, name)) return;
    const UniqueFd top = Open(parent, name);
    top_ = top.get();
    do {
      moved_ = false;
      RemoveContents(top_, 1);
    } while (moved_);
    RemoveEmpty(parent, name);
  }

 private:
  // False for a directory.
  static bool Unlink(int parent, const std::string& name) {
    if (unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR && errno != EPERM && errno != EACCES) ThrowErrno("removing `{}`", name);
    return false;
  }

  // Also what is mounted from the same file system is not removed.
  static UniqueFd Open(int parent, const std::string& name) {
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = Holds(Wall::kMounts) ? RESOLVE_NO_XDEV : 0;
    UniqueFd dir(static_cast<int>(syscall(SYS_openat2, parent, name.c_str(), &how, sizeof how)));
    if (!dir.valid() && errno == EXDEV) {
      throw Error(Fault::kHost, "removing a tree")
          .Because(fmt::format("something is mounted inside it, at `{}`", Printable(name)));
    }
    struct stat info;
    if (!dir.valid() || fstat(dir.get(), &info) < 0) ThrowErrno("removing `{}`", name);
    if ((info.st_mode & 0700) != 0700) fchmod(dir.get(), 0700);
    return dir;
  }

  void RemoveContents(int dir, int depth) {
    for (const DirEntry& entry : ListDir(dir)) {
      if (Unlink(dir, entry.name)) continue;
      if (depth == kDeepest) {
        MoveUp(dir, entry.name);
        continue;
      }
      RemoveContents(Open(dir, entry.name).get(), depth + 1);
      RemoveEmpty(dir, entry.name);
    }
  }

  static void RemoveEmpty(int parent, const std::string& name) {
    if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT)
      ThrowErrno("removing directory `{}`", name);
  }

  // To the top, where the next round takes it, under a name that is free there.
  void MoveUp(int parent, const std::string& name) {
    do {
      const std::string fresh = fmt::format(".{}", next_++);
      moved_ = renameat2(parent, name.c_str(), top_, fresh.c_str(), RENAME_NOREPLACE) == 0;
    } while (!moved_ && errno == EEXIST);
    if (!moved_) ThrowErrno("removing directory `{}`", name);
  }

  int top_ = -1;
  bool moved_ = false;
  uint64_t next_ = 0;
};

}  // namespace

UniqueFd OpenHostPath(const std::string& path, int flags) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC));
  if (!fd.valid()) throw NamedPathError(errno, fmt::format("opening `{}`", path));
  return fd;
}

UniqueFd OpenHostPathWithoutLinks(const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.resolve = Holds(Wall::kNoLinks) ? RESOLVE_NO_SYMLINKS : 0;
  UniqueFd fd(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
  if (fd.valid()) return fd;
  if (errno != ELOOP) throw NamedPathError(errno, fmt::format("opening `{}`", path));
  Error refusal(Fault::kInvalid, fmt::format("opening `{}`", path));
  refusal.Because("it is a symbolic link, or behind one");
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) != nullptr)
    refusal.SetHint(fmt::format("if that is meant, name `{}`", Printable(resolved)));
  throw refusal;
}

UniqueFd OpenAt(int dir, const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(OpenBeneath(dir, path, flags, mode));
  if (!fd.valid()) ThrowErrno("opening `{}`", path);
  return fd;
}

std::optional<UniqueFd> TryOpenAt(int dir, const std::string& path, int flags) {
  UniqueFd fd(OpenBeneath(dir, path, flags, 0));
  if (fd.valid()) return fd;
  if (errno == ENOENT) return std::nullopt;
  ThrowErrno("opening `{}`", path);
}

void MakeDirs(int dir, const std::string& path, mode_t mode) {
  if (!IsPlainRelative(path)) {
    throw Error(Fault::kInvalid, fmt::format("creating directory `{}`", Printable(path)))
        .Because("it is not a plain relative path");
  }
  UniqueFd here = OpenAt(dir, ".", O_PATH | O_DIRECTORY);
  for (const std::string& part : Split(path, '/')) {
    if (mkdirat(here.get(), part.c_str(), mode) < 0 && errno != EEXIST) {
      ThrowErrno("creating directory `{}`", path);
    }
    here = OpenAt(here.get(), part, O_PATH | O_DIRECTORY);
  }
}

bool ExistsAt(int dir, const std::string& path) { return StatAt(dir, path).has_value(); }

std::optional<struct stat> StatAt(int dir, const std::string& path) {
  const UniqueFd fd(OpenBeneath(dir, path, O_PATH | O_NOFOLLOW, 0));
  if (!fd.valid()) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return std::nullopt;
    ThrowErrno("looking at `{}`", path);
  }
  struct stat info;
  if (fstat(fd.get(), &info) < 0) ThrowErrno("looking at `{}`", path);
  return info;
}

std::string ReadFd(int fd, size_t limit, std::string_view what) {
  std::string bytes;
  char buffer[1 << 14];
  while (true) {
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) ThrowErrno("reading {}", what);
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(count));
    if (bytes.size() > limit) {
      throw Error(Fault::kInvalid, fmt::format("reading {}", what))
          .Because(fmt::format("it is larger than {}", HumanBytes(limit)));
    }
  }
}

std::string ReadAt(int dir, const std::string& path, size_t limit) {
  const UniqueFd fd = OpenAt(dir, path, O_RDONLY);
  return ReadFd(fd.get(), limit, fmt::format("`{}`", path));
}

void WriteFd(int fd, std::string_view bytes, std::string_view what) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) ThrowErrno("writing {}", what);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void ReplaceAt(int dir, const std::string& path, std::string_view bytes, mode_t mode,
               Durability durability) {
  const UniqueFd parent = OpenAt(dir, ParentOf(path), O_RDONLY | O_DIRECTORY);
  const std::string name = BaseOf(path);
  const Temporary made = NewTemporary(parent.get(), name, mode);
  try {
    WriteFd(made.fd.get(), bytes, fmt::format("`{}`", path));
    if (durability == Durability::kSynced && fsync(made.fd.get()) < 0)
      ThrowErrno("syncing `{}`", path);
    if (renameat(parent.get(), made.name.c_str(), parent.get(), name.c_str()) < 0)
      ThrowErrno("replacing `{}`", path);
  } catch (...) {
    unlinkat(parent.get(), made.name.c_str(), 0);
    throw;
  }
  if (durability == Durability::kSynced && fsync(parent.get()) < 0)
    ThrowErrno("syncing `{}`", path);
}

std::vector<DirEntry> ListDir(int dir, const std::string& path) {
  UniqueFd fd = OpenAt(dir, path, O_RDONLY | O_DIRECTORY);
  const std::unique_ptr<DIR, DirCloser> stream(fdopendir(fd.get()));
  if (stream == nullptr) ThrowErrno("listing `{}`", path);
  fd.release();
  std::vector<DirEntry> entries;
  errno = 0;
  while (const dirent* entry = readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    unsigned char type = entry->d_type;
    if (type == DT_UNKNOWN) {
      struct stat info;
      if (fstatat(dirfd(stream.get()), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
        type = static_cast<unsigned char>(IFTODT(info.st_mode));
      }
    }
    entries.push_back({name, type});
    errno = 0;
  }
  if (errno != 0) ThrowErrno("listing `{}`", path);
  std::sort(entries.begin(), entries.end(),
            [](const DirEntry& a, const DirEntry& b) { return a.name < b.name; });
  return entries;
}

void RemoveTree(int dir, const std::string& name) {
  const UniqueFd parent = OpenAt(dir, ParentOf(name), O_RDONLY | O_DIRECTORY);
  TreeRemoval().Remove(parent.get(), BaseOf(name));
}

UniqueFd MemoryFile(const std::string& name, std::string_view bytes) {
  UniqueFd fd(memfd_create(name.c_str(), MFD_CLOEXEC));
  if (!fd.valid()) ThrowErrno("creating memory file `{}`", name);
  WriteFd(fd.get(), bytes, name);
  if (lseek(fd.get(), 0, SEEK_SET) < 0) ThrowErrno("rewinding memory file `{}`", name);
  return fd;
}

Pipe MakePipe(int flags) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC | flags) < 0) ThrowErrno("creating a pipe");
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

bool IsPlainRelative(std::string_view path) {
  if (path.empty() || path.size() >= PATH_MAX || path.find('\0') != path.npos) return false;
  for (const std::string& part : Split(path, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > NAME_MAX) return false;
  }
  return true;
}

}  // namespace rundlet::base
