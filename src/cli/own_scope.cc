#include "cli/own_scope.h"

#include <fcntl.h>
#include <unistd.h>

#include <climits>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/text.h"
#include "runtime/cgroup/engine_groups.h"

namespace rundlet::cli {
namespace {

constexpr const char* kSystemd = "/run/systemd/system";  // sd_booted(3)
constexpr const char* kSystemdRun = "/usr/bin/systemd-run";
constexpr size_t kOwnTextLimit = size_t{4} << 20;  // more than arguments can have

std::string OwnText(const char* path) {
  return base::ReadFd(base::OpenHostPath(path, O_RDONLY).get(), kOwnTextLimit, path);
}

// This program, not what its first argument names, and its other arguments.
std::vector<std::string> OwnCommand() {
  std::vector<std::string> words = base::Split(OwnText("/proc/self/cmdline"), '\0');
  words.pop_back();  // each ends with a zero
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) base::ThrowErrno("finding the running program");
  words.front().assign(path, static_cast<size_t>(length));
  return words;
}

}  // namespace

void RetryInOwnScope(const base::Error& error) {
  if (dynamic_cast<const runtime::NotDelegated*>(&error) == nullptr) return;
  if (geteuid() != 0 || access(kSystemd, F_OK) < 0) return;
  // systemd-run moves itself there and becomes what it starts: the process stays the same.
  const std::string unit = fmt::format("rundlet-{}.scope", getpid());
  if (OwnText("/proc/self/cgroup").find("/" + unit) != std::string::npos) return;
  std::vector<std::string> words = {
      kSystemdRun, "--scope", "--quiet", "--collect", "--property=Delegate=yes",
      "--unit",    unit,      "--"};
  for (std::string& word : OwnCommand()) words.push_back(std::move(word));
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(kSystemdRun, arguments.data());
  // No such program: then the error stands.
}

}  // namespace rundlet::cli
