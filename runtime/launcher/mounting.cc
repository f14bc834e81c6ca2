#include "runtime/launcher/mounting.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <cerrno>

#include "base/error.h"

namespace rundlet::runtime {

using base::ThrowErrno;
using base::UniqueFd;

UniqueFd NewFileSystem(const char* type, const MountOptions& options, uint64_t attributes) {
  const UniqueFd context(fsopen(type, FSOPEN_CLOEXEC));
  if (!context.valid()) ThrowErrno("opening file system `{}`", type);
  for (const auto& [key, value] : options) {
    if (fsconfig(context.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0) < 0) {
      ThrowErrno("setting `{}` of a {}", key, type);
    }
  }
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
    ThrowErrno("creating a {}", type);
  UniqueFd mount(fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
  if (!mount.valid()) ThrowErrno("mounting a {}", type);
  return mount;
}

UniqueFd CloneTree(int dir, const std::string& path) {
  UniqueFd tree(
      open_tree(dir, path.c_str(),
                OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH));
  if (!tree.valid()) ThrowErrno("cloning the mount at `{}`", path);
  return tree;
}

void SetAttributes(int mount, uint64_t set, uint64_t clear) {
  mount_attr attributes{};
  attributes.attr_set = set;
  attributes.attr_clr = clear;
  if (mount_setattr(mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0) {
    ThrowErrno("setting attributes of a mount");
  }
}

void MapOwners(int mount, int user_namespace) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<unsigned>(user_namespace);
  if (mount_setattr(mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) {
    ThrowErrno("shifting the owners of a mount");
  }
}

void Attach(int mount, const std::string& path) {
  if (move_mount(mount, "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0) {
    ThrowErrno("attaching a mount at `{}`", path);
  }
}

}  // namespace rundlet::runtime
