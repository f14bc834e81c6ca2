#include "engine/core/host_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "base/error.h"
#include "base/fs.h"
#include "runtime/launcher.h"

namespace rundlet::engine {
namespace {

void AddIfThere(HandedMounts& handed, const std::string& path, const std::string& target) {
  const base::UniqueFd fd(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (fd.valid()) handed.Add(fd.get(), target);
}

}  // namespace

void HandedMounts::Add(int fd, const std::string& target, bool writable) {
  mounts.push_back(
      {target, runtime::HandedMount{static_cast<uint32_t>(descriptors.size()), writable}});
  descriptors.push_back(runtime::DetachedClone(fd, runtime::CloneDepth::kRecursive));
}

std::vector<int> HandedMounts::numbers() const {
  std::vector<int> numbers;
  for (const base::UniqueFd& fd : descriptors) numbers.push_back(fd.get());
  return numbers;
}

void AddNetworkFiles(HandedMounts& handed, const Config& config) {
  for (const char* path : {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"})
    AddIfThere(handed, path, path);
  AddBundle(handed, config);
}

void AddBundle(HandedMounts& handed, const Config& config) {
  AddIfThere(handed, config.ca_bundle, kBundleInside);
}

std::vector<runtime::Mount> WorkerRoot(HandedMounts& handed) {
  runtime::Skeleton skeleton;
  for (const char* path : {"/bin", "/lib", "/lib64"}) {
    char target[PATH_MAX];
    const ssize_t length = readlink(path, target, sizeof target);
    if (length > 0)
      skeleton.links.emplace_back(path, std::string(target, static_cast<size_t>(length)));
  }
  std::vector<runtime::Mount> mounts = {{"/", skeleton}};
  for (const char* path : {"/usr", "/lib", "/lib64"}) {
    const base::UniqueFd fd(open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (fd.valid()) handed.Add(fd.get(), path);
  }
  mounts.push_back({"/proc", runtime::Proc{}});
  mounts.push_back({"/dev", runtime::Devices{}});
  mounts.push_back({"/tmp", runtime::Scratch{}});
  return mounts;
}

}  // namespace rundlet::engine
