// Walking a tree of files by descriptor, for manifests and for normalising.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <string>
#include <vector>

namespace rundlet::store {

struct TreeNode {
  std::string path;  // relative to the tree; "" is the tree itself
  std::string name;  // within `parent`; "." for the tree itself
  int parent = -1;   // descriptor of the directory that holds it
  int fd = -1;       // opened for reading; only of directories and regular files
  int depth = 0;     // 0: the tree itself, 1: what lies directly in it
  struct stat info {};
};

// Visits the tree itself and everything below, a directory before what is in it, names in byte
// order. Follows no link, opens no device. Descriptors are valid during the visit. Throws Error,
// also for trees deeper than any that a step could use (they would exhaust our descriptors and our
// stack).
void WalkTree(int tree, const std::function<void(const TreeNode&)>& visit);

std::string ReadLink(const TreeNode& node);

// Names of the extended attributes of a directory or regular file, sorted; those this process may
// not see (trusted.* without privileges) are not among them. Empty where the file system has none.
std::vector<std::string> ListXattrs(int fd);
std::string ReadXattr(int fd, const std::string& name);

}  // namespace rundlet::store
