#include "store/normalise.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/text.h"
#include "store/tree_walk.h"

namespace rundlet::store {
namespace {

constexpr timespec kTime{1, 0};
constexpr std::array<timespec, 2> kTimes{kTime, kTime};

base::Error Refusal(const TreeNode& node, std::string cause) {
  return base::Error(base::Fault::kInvalid,
                     fmt::format("taking in `{}`", base::Printable(node.path)))
      .Because(std::move(cause));
}

// ".." only at the start, and no more of them than the link lies deep. The directories above a link
// are real ones, so leading ".." are what they seem; what follows descends, through links for which
// the same holds. (A ".." further on would climb from wherever an earlier part of the path had
// led.)
bool StaysInside(std::string_view target, int depth_of_link) {
  if (target.empty() || target.front() == '/') return false;
  int climbed = 0;
  bool descending = false;
  for (const std::string& part : base::Split(target, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      descending = true;
    } else if (descending || ++climbed >= depth_of_link) {
      return false;
    }
  }
  return true;
}

bool HidesOtherLayers(std::string_view xattr) {
  for (const std::string_view prefix : {"trusted.overlay.", "user.overlay."}) {
    if (!xattr.starts_with(prefix)) continue;
    const std::string_view mark = xattr.substr(prefix.size());
    return mark == "opaque" || mark == "redirect" || mark == "metacopy" || mark == "whiteout" ||
           mark == "whiteouts";
  }
  return false;
}

bool BelongsToTheHost(std::string_view xattr) {
  return xattr.starts_with("security.") && xattr != "security.capability";
}

void DropXattrs(const TreeNode& node) {
  for (const std::string& name : ListXattrs(node.fd)) {
    if (HidesOtherLayers(name)) {
      throw Refusal(node, fmt::format("it carries the overlayfs mark `{}`", base::Printable(name)));
    }
    if (BelongsToTheHost(name)) continue;
    if (fremovexattr(node.fd, name.c_str()) < 0 && errno != ENODATA) {
      base::ThrowErrno("dropping extended attribute `{}` of `{}`", base::Printable(name),
                       base::Printable(node.path));
    }
  }
}

bool HasOwner(const TreeNode& node) {
  return node.info.st_uid == geteuid() && node.info.st_gid == getegid();
}

bool HasTime(const TreeNode& node) {
  return node.info.st_mtim.tv_sec == kTime.tv_sec && node.info.st_mtim.tv_nsec == kTime.tv_nsec;
}

void NormaliseOpened(const TreeNode& node) {
  DropXattrs(node);
  if (!HasOwner(node) && fchown(node.fd, geteuid(), getegid()) < 0) {
    base::ThrowErrno("setting the owner of `{}`", base::Printable(node.path));
  }
  const bool is_program = (node.info.st_mode & 0111) != 0;
  const mode_t mode = S_ISDIR(node.info.st_mode) ? 0755 : is_program ? 0555 : 0444;
  if ((node.info.st_mode & 07777) != mode && fchmod(node.fd, mode) < 0) {
    base::ThrowErrno("setting the mode of `{}`", base::Printable(node.path));
  }
  if (!HasTime(node) && futimens(node.fd, kTimes.data()) < 0) {
    base::ThrowErrno("setting the times of `{}`", base::Printable(node.path));
  }
}

void NormaliseLink(const TreeNode& node, Links links) {
  if (links == Links::kInside) {
    const std::string target = ReadLink(node);
    if (!StaysInside(target, node.depth)) {
      throw Refusal(node, fmt::format("it is a symbolic link that may lead outside (`{}`)",
                                      base::Printable(target)));
    }
  }
  if (!HasOwner(node) &&
      fchownat(node.parent, node.name.c_str(), geteuid(), getegid(), AT_SYMLINK_NOFOLLOW) < 0) {
    base::ThrowErrno("setting the owner of `{}`", base::Printable(node.path));
  }
  if (!HasTime(node) &&
      utimensat(node.parent, node.name.c_str(), kTimes.data(), AT_SYMLINK_NOFOLLOW) < 0) {
    base::ThrowErrno("setting the times of `{}`", base::Printable(node.path));
  }
}

}  // namespace

void Normalise(int tree, Links links) {
  WalkTree(tree, [links](const TreeNode& node) {
    if (node.fd >= 0) {
      NormaliseOpened(node);
    } else if (S_ISLNK(node.info.st_mode)) {
      NormaliseLink(node, links);
    } else {
      throw Refusal(node, "it is a device, a socket or a fifo");
    }
  });
}

}  // namespace rundlet::store
