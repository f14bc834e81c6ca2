#include "base/new_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

base::Error IsTaken(const std::string& name) {
  return base::Error(base::Fault::kInvalid, fmt::format("making `{}`", base::Printable(name)))
      .Because("there is something already")
      .Hint("name a path that does not exist");
}

// Nothing when another process has it.
base::UniqueFd OpenLocked(int parent, const std::string& name) {
  base::UniqueFd dir = base::OpenAt(parent, name, O_RDONLY | O_DIRECTORY);
  struct stat info;
  if (fstat(dir.get(), &info) < 0) base::ThrowErrno("looking at `{}`", base::Printable(name));
  if (info.st_uid != geteuid()) {
    throw base::Error(base::Fault::kHost, fmt::format("making `{}`", base::Printable(name)))
        .Because("somebody else has a directory of that name");
  }
  if (flock(dir.get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK) base::ThrowErrno("locking `{}`", base::Printable(name));
    throw base::Error(base::Fault::kHost, fmt::format("making `{}`", base::Printable(name)))
        .Because("another process is making it");
  }
  return dir;
}

}  // namespace

NewDirectory::NewDirectory(base::UniqueFd parent, std::string name)
    : parent_(std::move(parent)),
      name_(std::move(name)),
      temporary_(fmt::format(".{}.rundlet-export", name_)) {
  if (!base::IsPlainRelative(name_) || base::ExistsAt(parent_.get(), name_)) throw IsTaken(name_);
  while (mkdirat(parent_.get(), temporary_.c_str(), 0755) < 0) {
    if (errno != EEXIST) base::ThrowErrno("making `{}`", base::Printable(temporary_));
    // While it is locked nobody else goes on with it.
    const base::UniqueFd left = OpenLocked(parent_.get(), temporary_);
    base::RemoveTree(parent_.get(), temporary_);
  }
  dir_ = OpenLocked(parent_.get(), temporary_);
}

NewDirectory::~NewDirectory() {
  if (!dir_.valid()) return;
  try {
    base::RemoveTree(parent_.get(), temporary_);
  } catch (const base::Error&) {
    // A destructor cannot report it; the next one of this name tries again.
  }
}

void NewDirectory::Finish() {
  if (syncfs(dir_.get()) < 0) base::ThrowErrno("syncing `{}`", base::Printable(name_));
  // It cannot replace anything but an empty directory.
  if (renameat(parent_.get(), temporary_.c_str(), parent_.get(), name_.c_str()) < 0) {
    if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) throw IsTaken(name_);
    base::ThrowErrno("making `{}`", base::Printable(name_));
  }
  dir_.reset();
  if (fsync(parent_.get()) < 0) base::ThrowErrno("syncing where `{}` is", base::Printable(name_));
}

}  // namespace rundlet::rootfs
