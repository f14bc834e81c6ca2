// The shared libraries that an image's loader finds without being told where.
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "rootfs/worker/archives/open_in_root.h"
#include "rootfs/worker/command.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kLibraryLimit = 50'000;
constexpr size_t kConfigLimit = size_t{64} << 10;

// The loader's own, on Debian's and on other distributions' layouts.
constexpr std::array<const char*, 10> kFolders = {"lib",
                                                  "usr/lib",
                                                  "lib64",
                                                  "usr/lib64",
                                                  "usr/local/lib",
                                                  "lib/x86_64-linux-gnu",
                                                  "usr/lib/x86_64-linux-gnu",
                                                  "lib/aarch64-linux-gnu",
                                                  "usr/lib/aarch64-linux-gnu",
                                                  "usr/local/lib64"};

// Folders that /etc/ld.so.conf.d adds; an image without is no error.
std::set<std::string> Folders(int root) {
  std::set<std::string> folders(kFolders.begin(), kFolders.end());
  const base::UniqueFd configs = OpenInRoot(root, "etc/ld.so.conf.d", O_RDONLY | O_DIRECTORY);
  if (!configs.valid()) return folders;
  for (const base::DirEntry& entry : base::ListDir(configs.get())) {
    if (entry.type != DT_REG || !entry.name.ends_with(".conf")) continue;
    for (const std::string& raw :
         base::Split(base::ReadAt(configs.get(), entry.name, kConfigLimit), '\n')) {
      const std::string_view line = base::Trim(raw);
      if (line.starts_with('/')) folders.emplace(line.substr(1));
    }
  }
  return folders;
}

}  // namespace

// Request: {}; the image is at /image. Answer: {"libraries": [file name, ...]}, sorted.
nlohmann::json ListLibraries(const nlohmann::json&) {
  const base::UniqueFd root = base::OpenHostPath("/image", O_RDONLY | O_DIRECTORY);
  std::set<std::string> names;
  for (const std::string& folder : Folders(root.get())) {
    const base::UniqueFd dir = OpenInRoot(root.get(), folder, O_RDONLY | O_DIRECTORY);
    if (!dir.valid()) continue;
    for (const base::DirEntry& entry : base::ListDir(dir.get())) {
      if (entry.type == DT_DIR || entry.name.find(".so") == std::string::npos) continue;
      if (names.size() == kLibraryLimit)
        throw base::Error(base::Fault::kInvalid, "listing an image's libraries")
            .Because("there are too many");
      names.insert(entry.name);
    }
  }
  return {{"libraries", names}};
}

}  // namespace rundlet::rootfs::worker
