#include "store/tree_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "base/error.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/text.h"

namespace rundlet::store {
namespace {

constexpr int kDeepest = 256;
constexpr int kListAttempts = 8;

void WalkInto(const TreeNode& directory, const std::function<void(const TreeNode&)>& visit) {
  if (directory.depth >= kDeepest) {
    throw base::Error(base::Fault::kInvalid, "reading a tree of files")
        .Because(fmt::format("its directories are nested deeper than {}", kDeepest));
  }
  for (const base::DirEntry& entry : base::ListDir(directory.fd)) {
    TreeNode node;
    node.path = directory.path.empty() ? entry.name : directory.path + "/" + entry.name;
    node.name = entry.name;
    node.parent = directory.fd;
    node.depth = directory.depth + 1;
    base::UniqueFd fd;
    if (entry.type == DT_DIR || entry.type == DT_REG) {
      // O_NONBLOCK: should it have become a fifo since it was listed, opening must not hang.
      const int type = entry.type == DT_DIR ? O_DIRECTORY : O_NONBLOCK;
      fd = base::UniqueFd(
          openat(directory.fd, entry.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | type));
      if (!fd.valid()) base::ThrowErrno("opening `{}`", base::Printable(node.path));
    }
    node.fd = fd.get();
    const int result =
        fd.valid() ? fstat(fd.get(), &node.info)
                   : fstatat(directory.fd, entry.name.c_str(), &node.info, AT_SYMLINK_NOFOLLOW);
    if (result < 0) base::ThrowErrno("looking at `{}`", base::Printable(node.path));
    if (IFTODT(node.info.st_mode) != entry.type) {
      throw base::Error(base::Fault::kHost, fmt::format("reading `{}`", base::Printable(node.path)))
          .Because("it changed meanwhile");
    }
    visit(node);
    if (entry.type == DT_DIR) WalkInto(node, visit);
  }
}

}  // namespace

void WalkTree(int tree, const std::function<void(const TreeNode&)>& visit) {
  const base::UniqueFd fd = base::OpenAt(tree, ".", O_RDONLY | O_DIRECTORY);
  TreeNode root;
  root.name = ".";
  root.parent = fd.get();
  root.fd = fd.get();
  if (fstat(fd.get(), &root.info) < 0) base::ThrowErrno("looking at a tree of files");
  visit(root);
  WalkInto(root, visit);
}

std::string ReadLink(const TreeNode& node) {
  std::string target(PATH_MAX, '\0');
  const ssize_t size = readlinkat(node.parent, node.name.c_str(), target.data(), target.size());
  if (size < 0) base::ThrowErrno("reading link `{}`", base::Printable(node.path));
  target.resize(static_cast<size_t>(size));
  return target;
}

std::vector<std::string> ListXattrs(int fd) {
  // Nearly every file has none: the first call says so.
  for (int attempt = 0; attempt < kListAttempts; ++attempt) {
    const ssize_t needed = flistxattr(fd, nullptr, 0);
    if (needed == 0 || (needed < 0 && errno == ENOTSUP)) return {};
    if (needed < 0) base::ThrowErrno("listing extended attributes");
    std::string names(static_cast<size_t>(needed), '\0');
    const ssize_t size = flistxattr(fd, names.data(), names.size());
    if (size < 0 && errno == ERANGE) continue;  // grew meanwhile
    if (size < 0) base::ThrowErrno("listing extended attributes");
    names.resize(static_cast<size_t>(size));
    std::vector<std::string> list = base::Split(names, '\0');
    std::erase(list, "");
    std::sort(list.begin(), list.end());
    return list;
  }
  throw base::Error(base::Fault::kHost, "listing extended attributes")
      .Because("they changed meanwhile");
}

std::string ReadXattr(int fd, const std::string& name) {
  std::string value(XATTR_SIZE_MAX, '\0');
  const ssize_t size = fgetxattr(fd, name.c_str(), value.data(), value.size());
  if (size < 0) base::ThrowErrno("reading extended attribute `{}`", base::Printable(name));
  value.resize(static_cast<size_t>(size));
  return value;
}

}  // namespace rundlet::store
