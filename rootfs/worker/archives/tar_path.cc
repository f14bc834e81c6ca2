#include "rootfs/worker/archives/tar_path.h"

#include <climits>
#include <string_view>

#include "base/error.h"
#include "base/text.h"
#include "base/walls.h"

namespace rundlet::rootfs::worker {
namespace {

base::Error Refuse(std::string_view path, std::string_view why) {
  return base::Error(base::Fault::kInvalid, "reading an archive")
      .Because(fmt::format("entry `{}` {}", base::Printable(path.substr(0, 300)), why));
}

}  // namespace

std::string CleanPath(const std::string& path, size_t depth_limit) {
  std::string clean;
  size_t depth = 0;
  for (const std::string& part : base::Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == ".." && base::Holds(base::Wall::kNames))
      throw Refuse(path, "leads out of the archive");
    if (part.size() > NAME_MAX) throw Refuse(path, "has a name of more than 255 bytes");
    if (++depth > depth_limit) throw Refuse(path, fmt::format("is deeper than {}", depth_limit));
    if (!clean.empty()) clean += '/';
    clean += part;
  }
  if (clean.size() >= PATH_MAX) throw Refuse(path, "has a path of more than 4095 bytes");
  return clean.empty() ? "." : clean;
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? "." : path.substr(0, slash);
}

std::string BaseOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

}  // namespace rundlet::rootfs::worker
