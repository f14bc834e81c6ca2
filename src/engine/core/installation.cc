#include "engine/core/installation.h"

#include <unistd.h>

#include <climits>

#include "base/error.h"

namespace rundlet::engine {
namespace {

std::string DirectoryOfThisProgram() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) base::ThrowErrno("finding the running program");
  const std::string program(path, static_cast<size_t>(length));
  return program.substr(0, program.rfind('/'));
}

bool IsComplete(const Installation& parts) {
  return access(parts.launcher.c_str(), X_OK) == 0 && access(parts.worker.c_str(), X_OK) == 0 &&
         access(parts.fetcher.c_str(), X_OK) == 0 &&
         access((parts.python + "/rundlet_runner").c_str(), R_OK) == 0;
}

}  // namespace

Installation FindInstallation() {
  const std::string here = DirectoryOfThisProgram();
  // bin/rundlet, libexec/rundlet/..., share/rundlet/python
  const Installation installed = {
      here + "/../libexec/rundlet/rundlet-launcher", here + "/../libexec/rundlet/rundlet-worker",
      here + "/../libexec/rundlet/rundlet-fetcher", here + "/../share/rundlet/python"};
  if (IsComplete(installed)) return installed;
  // BUILD/src/cli/rundlet, and the sources that BUILD was configured from
  const Installation built = {here + "/../../runtime/launcher/rundlet-launcher",
                              here + "/../../rootfs/worker/rundlet-worker",
                              here + "/../../rootfs/worker/rundlet-fetcher",
                              RUNDLET_SOURCE_ROOT "/python"};
  if (IsComplete(built)) return built;
  throw base::Error(base::Fault::kHost, "finding the parts of rundlet")
      .Because(fmt::format("neither `{}` nor a build tree around `{}` is complete",
                           installed.launcher, here))
      .Hint("install rundlet again");
}

}  // namespace rundlet::engine
