#include "store/state_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/walls.h"

namespace rundlet::store {
namespace {

constexpr char kVersionFile[] = "version";
constexpr std::string_view kVersion = "1";
constexpr size_t kVersionLimit = 64;

// The first eight are those of FolderOf; the last five belong to the engine.
constexpr std::array<const char*, 15> kFolders = {
    "layers",  "packages", "lowers", "wheels", "tools", "skeletons", "environments", "blobs",
    "staging", "leases",   "locks",  "images", "runs",  "tables",    "cache"};

base::Error Refusal(const std::string& path, std::string cause) {
  return base::Error(base::Fault::kHost, fmt::format("opening state directory `{}`", path))
      .Because(std::move(cause));
}

// mkdir -p along a path its user named: links on the way are followed, as the user's own shell
// would.
void CreateHostDirs(const std::string& path) {
  size_t slash = 0;
  do {
    slash = path.find('/', slash + 1);
    if (mkdir(path.substr(0, slash).c_str(), 0700) < 0 && errno != EEXIST) {
      base::ThrowErrno("creating state directory `{}`", path);
    }
  } while (slash != std::string::npos);
}

base::UniqueFd OpenOrCreate(const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  int fd = open(path.c_str(), kFlags);
  if (fd < 0 && errno == ENOENT) {
    CreateHostDirs(path);
    fd = open(path.c_str(), kFlags);
  }
  if (fd >= 0) return base::UniqueFd(fd);
  if (errno == ENOTDIR || errno == ELOOP) {
    struct stat info;
    const bool is_link = lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode);
    throw Refusal(path, is_link ? "it is a symbolic link" : "it is not a directory")
        .Hint("name the directory itself with --state");
  }
  base::ThrowErrno("opening state directory `{}`", path);
}

struct stat StatOf(int dir, const std::string& path) {
  struct stat info;
  if (fstat(dir, &info) < 0) base::ThrowErrno("opening state directory `{}`", path);
  return info;
}

void CheckOwner(const struct stat& info, const std::string& path) {
  if (!base::Holds(base::Wall::kStateOwner)) return;
  if (info.st_uid != geteuid()) {
    throw Refusal(path, fmt::format("it belongs to uid {}, not to uid {}", info.st_uid, geteuid()))
        .Hint("choose another directory with --state");
  }
  if ((info.st_mode & 022) != 0) {
    throw Refusal(path, fmt::format("others may write to it (mode {:04o})", info.st_mode & 07777))
        .Hint("choose another directory with --state");
  }
}

// What root keeps is nobody else's business, down to which packages there are. (A user's directory
// is 0700 as well when we make it; a user may open it.)
void CheckPrivate(const struct stat& info, const std::string& path) {
  if (geteuid() != 0 || (info.st_mode & 077) == 0) return;
  throw Refusal(path, fmt::format("others may enter it (mode {:04o})", info.st_mode & 07777))
      .Hint(fmt::format("chmod 700 {}", path));
}

bool MayBeInNewStateDir(const std::string& name) {
  // Another process may be creating it at this moment, or one died doing so; a file system of its
  // own is fine too.
  return std::find(kFolders.begin(), kFolders.end(), name) != kFolders.end() ||
         name == kVersionFile || name.starts_with(".version.") || name == "lost+found";
}

// Makes an empty directory a state directory, unless another process has just done so.
void Initialise(int dir, const std::string& path) {
  for (const base::DirEntry& entry : base::ListDir(dir)) {
    if (MayBeInNewStateDir(entry.name)) continue;
    // Nothing else is put into a state directory before its version.
    if (base::ExistsAt(dir, kVersionFile)) return;
    throw Refusal(path, fmt::format("it holds something else (`{}`)", base::Printable(entry.name)))
        .Hint("choose an empty or a new directory with --state");
  }
  if (fchmod(dir, 0700) < 0) base::ThrowErrno("setting the mode of state directory `{}`", path);
  for (const char* folder : kFolders) base::MakeDirs(dir, folder);
  // Last, and durable: a directory with a version is whole.
  base::ReplaceAt(dir, kVersionFile, fmt::format("{}\n", kVersion), 0600,
                  base::Durability::kSynced);
}

void CheckVersion(int version, const std::string& path) {
  const std::string text = base::ReadFd(version, kVersionLimit, "the store's version");
  if (base::Trim(text) == kVersion) return;
  throw Refusal(path, fmt::format("it has format `{}`, and this program knows format `{}`",
                                  base::Printable(base::Trim(text)), kVersion))
      .Hint("use the version of rundlet that made it, or another directory with --state");
}

}  // namespace

base::UniqueFd OpenStateDir(const std::string& path) {
  base::UniqueFd dir = OpenOrCreate(path);
  CheckOwner(StatOf(dir.get(), path), path);
  std::optional<base::UniqueFd> version = base::TryOpenAt(dir.get(), kVersionFile, O_RDONLY);
  if (!version) {
    Initialise(dir.get(), path);
    version = base::OpenAt(dir.get(), kVersionFile, O_RDONLY);
  }
  CheckPrivate(StatOf(dir.get(), path), path);
  CheckVersion(version->get(), path);
  // These came later than the other folders of format 1.
  for (const char* folder : {"environments", "blobs"}) base::MakeDirs(dir.get(), folder);
  return dir;
}

}  // namespace rundlet::store
