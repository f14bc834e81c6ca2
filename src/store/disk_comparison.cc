#include "store/disk_comparison.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "store/tree_walk.h"

namespace rundlet::store {
namespace {

// What direct reads want of addresses, on every disk there is.
constexpr size_t kAlignment = 4096;

struct Freed {
  void operator()(char* bytes) const { std::free(bytes); }
};
using Buffer = std::unique_ptr<char, Freed>;

Buffer NewBuffer() {
  Buffer buffer(static_cast<char*>(std::aligned_alloc(kAlignment, kComparedBytes)));
  RUNDLET_CHECK(buffer != nullptr);
  return buffer;
}

ReadChunk From(int file) {
  return [file](char* bytes, uint64_t offset) {
    while (true) {
      const ssize_t count = pread(file, bytes, kComparedBytes, static_cast<off_t>(offset));
      if (count >= 0) return static_cast<size_t>(count);
      if (errno != EINTR) base::ThrowErrno("reading a file");
    }
  };
}

base::UniqueFd OpenPastTheCache(const TreeNode& node) {
  try {
    return base::OpenAt(node.parent, node.name, O_RDONLY | O_DIRECT);
  } catch (base::Error& error) {
    error.While("reading past the page cache");
    throw;
  }
}

}  // namespace

bool SameContent(const ReadChunk& one, const ReadChunk& other) {
  const Buffer first = NewBuffer();
  const Buffer second = NewBuffer();
  for (uint64_t offset = 0;;) {
    const size_t count = one(first.get(), offset);
    if (other(second.get(), offset) != count) return false;
    if (std::memcmp(first.get(), second.get(), count) != 0) return false;
    // Direct reads end early at the end only.
    if (count < kComparedBytes) return true;
    offset += count;
  }
}

std::optional<std::string> FirstUnlikeItsDisk(int tree) {
  std::optional<std::string> found;
  // A layer may have thousands of names for one large file.
  std::set<std::pair<dev_t, ino_t>> seen;
  WalkTree(tree, [&](const TreeNode& node) {
    if (found.has_value() || !S_ISREG(node.info.st_mode)) return;
    if (node.info.st_nlink > 1 && !seen.emplace(node.info.st_dev, node.info.st_ino).second) return;
    const base::UniqueFd direct = OpenPastTheCache(node);
    if (!SameContent(From(node.fd), From(direct.get()))) found = node.path;
  });
  return found;
}

}  // namespace rundlet::store
