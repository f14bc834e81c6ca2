#include "rootfs/worker/archives/tree_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/walls.h"
#include "rootfs/worker/archives/tar_path.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr uint64_t kHighestOwner = UINT32_MAX - 1;  // the last one stands for "no change"
constexpr uid_t kNobody = 65'534;
constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kMetadata = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";

base::Error Refuse(std::string_view path, std::string_view why) {
  return base::Error(base::Fault::kInvalid, "unpacking a layer")
      .Because(fmt::format("entry `{}` {}", base::Printable(path.substr(0, 300)), why));
}

[[noreturn]] void Fail(std::string_view what, std::string_view path) {
  base::ThrowErrno("{} `{}`", what, base::Printable(path.substr(0, 300)));
}

bool IsTooMuch(uint64_t size, uint64_t limit) {
  return size > limit && base::Holds(base::Wall::kBudgets);
}

// Those that only programs read. user.overlay.* is how an overlay that no administrator mounts
// marks its files.
bool IsPlainAttribute(std::string_view name) {
  return (name.starts_with("user.") && !name.starts_with("user.overlay.")) ||
         !base::Holds(base::Wall::kAttributes);
}

bool IsWhiteout(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == 0; }

std::optional<struct stat> Look(int parent, const std::string& name) {
  struct stat info;
  if (fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return info;
  if (errno != ENOENT) Fail("looking at", name);
  return std::nullopt;
}

std::array<timespec, 2> TimesOf(const PaxTime& time) {
  const timespec when{time.seconds, static_cast<long>(time.nanoseconds)};
  return {when, when};
}

void RemoveWhiteouts(int dir) {
  for (const base::DirEntry& entry : base::ListDir(dir)) {
    if (entry.type == DT_CHR && unlinkat(dir, entry.name.c_str(), 0) < 0) {
      Fail("removing whiteout", entry.name);
    }
    if (entry.type != DT_DIR) continue;
    RemoveWhiteouts(base::OpenAt(dir, entry.name, O_RDONLY | O_DIRECTORY).get());
  }
}

}  // namespace

void TreeWriter::Count(const std::string& path) {
  if (IsTooMuch(++report_.entries, limits_.entries)) {
    throw Refuse(path, fmt::format("is one too many: a layer may have {}", limits_.entries));
  }
  name_bytes_ += path.size();
  if (IsTooMuch(name_bytes_, limits_.name_bytes)) {
    throw Refuse(path, fmt::format("is one too many: the names together exceed {}",
                                   base::HumanBytes(limits_.name_bytes)));
  }
}

void TreeWriter::Add(const TarEntry& entry, TarReader& data) {
  const std::string path = CleanPath(entry.path, limits_.depth);
  Count(path);
  if (entry.uid > kHighestOwner || entry.gid > kHighestOwner) {
    throw Refuse(path, fmt::format("belongs to {}:{}, which are no ids", entry.uid, entry.gid));
  }
  if (path == "." && entry.type != TarType::kDirectory) {
    throw Refuse(path, "makes the root something else than a directory");
  }
  if (AddMarker(entry, path)) return;
  switch (entry.type) {
    case TarType::kDirectory:
      return AddDirectory(entry, path);
    case TarType::kFile:
      return AddFile(entry, path, data);
    case TarType::kSymlink:
      return AddSymlink(entry, path);
    case TarType::kHardLink:
      return AddHardLink(entry, path);
    case TarType::kSpecial:
      ++report_.dropped_specials;
      return;
  }
}

// Opens the directory an entry lies in, making it when the archive did not.
TreeWriter::Slot TreeWriter::OpenSlot(const std::string& path) {
  const std::string parent = ParentOf(path);
  if (!parent_.valid() || parent != parent_path_) {
    std::optional<base::UniqueFd> found;
    try {
      found = base::TryOpenAt(root_, parent, O_PATH | O_DIRECTORY);
    } catch (const base::Error&) {
      // Something that is no directory is in the way; MakeParents knows what.
    }
    if (!found) {
      MakeParents(parent);
      found = base::OpenAt(root_, parent, O_PATH | O_DIRECTORY);
    }
    parent_ = std::move(*found);
    parent_path_ = parent;
  }
  return {parent_.get(), BaseOf(path)};
}

void TreeWriter::MakeParents(const std::string& path) {
  base::UniqueFd here = base::OpenAt(root_, ".", O_PATH | O_DIRECTORY);
  std::string done;
  for (const std::string& part : base::Split(path, '/')) {
    done += done.empty() ? part : "/" + part;
    std::optional<struct stat> info = Look(here.get(), part);
    if (info && IsWhiteout(*info)) {
      // The layer deletes a directory and makes it anew: nothing of the old one shows through.
      if (unlinkat(here.get(), part.c_str(), 0) < 0) Fail("replacing", done);
      RememberOpaque(done);
      info.reset();
    }
    if (info && S_ISLNK(info->st_mode)) {
      throw Refuse(path, fmt::format("has a symbolic link of the same layer on its way: `{}`",
                                     base::Printable(done)));
    }
    if (info && !S_ISDIR(info->st_mode)) {
      throw Refuse(path, fmt::format("lies in `{}`, which is no directory in the same layer",
                                     base::Printable(done)));
    }
    if (!info && mkdirat(here.get(), part.c_str(), 0755) < 0) Fail("creating directory", done);
    here = base::OpenAt(here.get(), part, O_PATH | O_DIRECTORY);
  }
}

// Makes room for an entry whose name is taken. True when a whiteout was there.
bool TreeWriter::Clear(const Slot& slot, const std::string& path) {
  const std::optional<struct stat> info = Look(slot.parent, slot.name);
  if (!info) return false;
  if (S_ISDIR(info->st_mode)) {
    base::RemoveTree(slot.parent, slot.name);
  } else if (unlinkat(slot.parent, slot.name.c_str(), 0) < 0) {
    Fail("replacing", path);
  }
  return IsWhiteout(*info);
}

void TreeWriter::RememberOpaque(const std::string& path) { opaque_.insert(path); }

// True for the names by which a layer hides things of the layers below it.
bool TreeWriter::AddMarker(const TarEntry& entry, const std::string& path) {
  if (path.find(kWhiteout) == path.npos) return false;
  const std::vector<std::string> parts = base::Split(path, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].starts_with(kWhiteout)) continue;
    const bool last = i + 1 == parts.size();
    if (last && parts[i] == kOpaque) {
      OpenSlot(path);
      RememberOpaque(ParentOf(path));
      return true;
    }
    if (parts[i].starts_with(kMetadata)) return true;  // aufs' own bookkeeping
    if (!last || entry.type == TarType::kDirectory) {
      throw Refuse(path, "uses the name of a whiteout for a directory");
    }
    AddWhiteout(path);
    return true;
  }
  return false;
}

void TreeWriter::AddWhiteout(const std::string& path) {
  const Slot slot = OpenSlot(path);
  const std::string hidden = slot.name.substr(kWhiteout.size());
  if (hidden.empty() || hidden == "." || hidden == "..") {
    throw Refuse(path, "is a whiteout of no name");
  }
  if (mknodat(slot.parent, hidden.c_str(), S_IFCHR, makedev(0, 0)) == 0) return;
  if (errno != EEXIST) Fail("making the whiteout of", path);
  const std::optional<struct stat> info = Look(slot.parent, hidden);
  if (info && S_ISDIR(info->st_mode)) {
    const std::string parent = ParentOf(path);
    RememberOpaque(parent == "." ? hidden : fmt::format("{}/{}", parent, hidden));
  }
}

// A sandbox has no more ids than that: to all others the kernel gives the name of nobody.
TreeWriter::Owner TreeWriter::OwnerOf(const TarEntry& entry) {
  const auto shown = [&](uint64_t id) {
    return id > limits_.highest_id ? kNobody : static_cast<uid_t>(id);
  };
  if (std::max(entry.uid, entry.gid) > limits_.highest_id) ++report_.foreign_owners;
  return {shown(entry.uid), shown(entry.gid)};
}

void TreeWriter::ApplyMode(int fd, const TarEntry& entry, uint32_t mask) {
  // Owner first: a change of owner may clear mode bits.
  const Owner owner = OwnerOf(entry);
  if (owner.uid != self_.uid || owner.gid != self_.gid) {
    if (fchown(fd, owner.uid, owner.gid) < 0) Fail("changing the owner of", entry.path);
  }
  if ((entry.mode & (S_ISUID | S_ISGID)) != 0) ++report_.stripped_setuid;
  if (!base::Holds(base::Wall::kModes)) mask = 07777;
  if (fchmod(fd, entry.mode & mask) < 0) Fail("changing the mode of", entry.path);
}

void TreeWriter::ApplyXattrs(int fd, const TarEntry& entry) {
  uint64_t bytes = 0;
  for (const auto& [name, value] : entry.xattrs) {
    if (!IsPlainAttribute(name)) {
      ++report_.dropped_xattrs;
      continue;
    }
    bytes += name.size() + value.size();
    if (IsTooMuch(bytes, limits_.xattr_bytes)) {
      throw Refuse(entry.path, fmt::format("has more than {} of extended attributes",
                                           base::HumanBytes(limits_.xattr_bytes)));
    }
    if (fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) continue;
    // What this file system cannot hold (ENOSPC here means an inode's room, a full disk fails
    // elsewhere).
    if (errno != EOPNOTSUPP && errno != ENOSPC && errno != E2BIG && errno != ERANGE) {
      Fail("setting an extended attribute of", entry.path);
    }
    ++report_.dropped_xattrs;
  }
}

void TreeWriter::AddDirectory(const TarEntry& entry, const std::string& path) {
  base::UniqueFd dir;
  if (path == ".") {
    dir = base::OpenAt(root_, ".", O_RDONLY | O_DIRECTORY);
  } else {
    const Slot slot = OpenSlot(path);
    if (mkdirat(slot.parent, slot.name.c_str(), 0755) < 0) {
      if (errno != EEXIST) Fail("creating directory", path);
      const std::optional<struct stat> info = Look(slot.parent, slot.name);
      if (!info || !S_ISDIR(info->st_mode)) {
        if (Clear(slot, path)) RememberOpaque(path);
        if (mkdirat(slot.parent, slot.name.c_str(), 0755) < 0) Fail("creating directory", path);
      }
    }
    dir = base::OpenAt(slot.parent, slot.name, O_RDONLY | O_DIRECTORY);
  }
  ApplyXattrs(dir.get(), entry);
  ApplyMode(dir.get(), entry, 01777);
  directory_times_.emplace_back(path, entry.mtime);
}

void TreeWriter::WriteContent(int file, const TarEntry& entry, const std::string& path,
                              TarReader& data) {
  if (!entry.sparse) {
    for (auto bytes = data.Data(); !bytes.empty(); bytes = data.Data()) {
      base::WriteFd(file, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "a file");
      report_.bytes += bytes.size();
    }
    return;
  }
  // What is stored was found to be no more than the file's size.
  const uint64_t holes = entry.sparse->file_size - entry.size;
  if (IsTooMuch(holes, limits_.hole_bytes - hole_bytes_)) {
    throw Refuse(path, fmt::format("is too sparse: the holes of a layer's files may together be {}",
                                   base::HumanBytes(limits_.hole_bytes)));
  }
  hole_bytes_ += holes;
  if (ftruncate(file, static_cast<off_t>(entry.sparse->file_size)) < 0) Fail("writing", path);
  std::span<const std::byte> bytes;
  for (TarExtent extent : entry.sparse->extents) {
    if (lseek(file, static_cast<off_t>(extent.offset), SEEK_SET) < 0) Fail("writing", path);
    while (extent.size > 0) {
      if (bytes.empty()) bytes = data.Data();
      const auto now = bytes.first(std::min<uint64_t>(extent.size, bytes.size()));
      base::WriteFd(file, {reinterpret_cast<const char*>(now.data()), now.size()}, "a file");
      bytes = bytes.subspan(now.size());
      extent.size -= now.size();
      report_.bytes += now.size();
    }
  }
}

void TreeWriter::AddFile(const TarEntry& entry, const std::string& path, TarReader& data) {
  const Slot slot = OpenSlot(path);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  // Never an existing file: it may have other names.
  base::UniqueFd file(openat(slot.parent, slot.name.c_str(), kFlags, 0600));
  if (!file.valid() && errno == EEXIST) {
    Clear(slot, path);
    file = base::UniqueFd(openat(slot.parent, slot.name.c_str(), kFlags, 0600));
  }
  if (!file.valid()) Fail("creating", path);
  WriteContent(file.get(), entry, path, data);
  ApplyXattrs(file.get(), entry);
  ApplyMode(file.get(), entry, 01777);
  if (futimens(file.get(), TimesOf(entry.mtime).data()) < 0) Fail("setting the time of", path);
}

void TreeWriter::AddSymlink(const TarEntry& entry, const std::string& path) {
  if (entry.link.empty() || entry.link.size() >= PATH_MAX) {
    throw Refuse(path, "is a symbolic link with an empty or over-long target");
  }
  const Slot slot = OpenSlot(path);
  const char* name = slot.name.c_str();
  if (symlinkat(entry.link.c_str(), slot.parent, name) < 0) {
    if (errno != EEXIST) Fail("creating link", path);
    Clear(slot, path);
    if (symlinkat(entry.link.c_str(), slot.parent, name) < 0) Fail("creating link", path);
  }
  const Owner owner = OwnerOf(entry);
  if (fchownat(slot.parent, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0) {
    Fail("changing the owner of", path);
  }
  if (utimensat(slot.parent, name, TimesOf(entry.mtime).data(), AT_SYMLINK_NOFOLLOW) < 0) {
    Fail("setting the time of", path);
  }
}

void TreeWriter::AddHardLink(const TarEntry& entry, const std::string& path) {
  const std::string target = CleanPath(entry.link, limits_.depth);
  if (target == path) throw Refuse(path, "is a hard link to itself");
  std::optional<base::UniqueFd> parent;
  std::optional<struct stat> info;
  try {
    parent = base::TryOpenAt(root_, ParentOf(target), O_PATH | O_DIRECTORY);
    if (parent) info = Look(parent->get(), BaseOf(target));
  } catch (const base::Error&) {
    // A link or a file where a directory should be: as good as absent.
  }
  if (!info || IsWhiteout(*info)) {
    throw Refuse(path, fmt::format("is a hard link to `{}`, which is not in the same layer",
                                   base::Printable(target)));
  }
  if (!S_ISREG(info->st_mode) && !S_ISLNK(info->st_mode)) {
    throw Refuse(path,
                 fmt::format("is a hard link to `{}`, which is no file", base::Printable(target)));
  }
  const Slot slot = OpenSlot(path);
  const std::string from = BaseOf(target);
  if (linkat(parent->get(), from.c_str(), slot.parent, slot.name.c_str(), 0) == 0) return;
  if (errno != EEXIST) Fail("linking", path);
  const std::optional<struct stat> taken = Look(slot.parent, slot.name);
  if (taken && taken->st_ino == info->st_ino && taken->st_dev == info->st_dev) return;
  Clear(slot, path);
  if (linkat(parent->get(), from.c_str(), slot.parent, slot.name.c_str(), 0) < 0) {
    Fail("linking", path);
  }
}

// Inside a directory that hides all below it a whiteout hides nothing more, and where no lower
// directory is merged overlayfs lists it as a name that cannot be opened. Each directory is visited
// once.
void TreeWriter::DropHiddenWhiteouts() {
  for (const std::string& path : report_.opaque) {
    bool inside_another = path != "." && opaque_.contains(".");
    for (size_t slash = path.find('/'); slash != path.npos && !inside_another;
         slash = path.find('/', slash + 1)) {
      inside_another = opaque_.contains(path.substr(0, slash));
    }
    if (inside_another) continue;
    RemoveWhiteouts(base::OpenAt(root_, path, O_RDONLY | O_DIRECTORY).get());
  }
}

TreeReport TreeWriter::Finish() {
  parent_.reset();
  // A later entry may have made a directory into something else.
  std::erase_if(opaque_, [&](const std::string& path) {
    const std::optional<struct stat> info = base::StatAt(root_, path);
    return !info || !S_ISDIR(info->st_mode);
  });
  report_.opaque.assign(opaque_.begin(), opaque_.end());
  DropHiddenWhiteouts();
  for (const auto& [path, time] : directory_times_) {
    const std::optional<struct stat> info = base::StatAt(root_, path);
    if (!info || !S_ISDIR(info->st_mode)) continue;
    const base::UniqueFd dir = base::OpenAt(root_, path, O_RDONLY | O_DIRECTORY);
    if (futimens(dir.get(), TimesOf(time).data()) < 0) Fail("setting the time of", path);
  }
  return std::move(report_);
}

}  // namespace rundlet::rootfs::worker
