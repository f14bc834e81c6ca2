#include "cli/options/own_scope.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/terminal/interrupt.h"
#include "runtime/cgroup/engine_groups.h"

namespace rundlet::cli {
namespace {

constexpr const char* kSystemd = "/run/systemd/system";  // sd_booted(3)
constexpr const char* kSystemdRun = "/usr/bin/systemd-run";
constexpr size_t kOwnTextLimit = size_t{4} << 20;  // more than arguments can have
constexpr size_t kMostWords = 2048;

std::string OwnText(const std::string& path) {
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

// What arrives until the first line's end, or the end.
std::string ReadLine(int fd) {
  std::string line;
  while (line.find('\n') == std::string::npos && line.size() < kMostWords) {
    pollfd polled[2] = {{fd, POLLIN, 0}, {Interrupted().fd(), POLLIN, 0}};
    if (poll(polled, 2, -1) < 0 && errno != EINTR) base::ThrowErrno("waiting for systemd");
    Interrupted().ThrowIfCancelled();
    if (polled[0].revents == 0) continue;
    char buffer[256];
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count == 0) break;
    if (count > 0) line.append(buffer, static_cast<size_t>(count));
  }
  return line;
}

// A process in a scope that systemd has made for it, and which is there as long as this is. Throws
// base::Error (kHost) with systemd-run's words.
class Holder {
 public:
  explicit Holder(const std::string& unit) {
    base::Pipe input = base::MakePipe();
    base::Pipe output = base::MakePipe();
    base::Pipe errors = base::MakePipe();
    child_ = base::Spawn(
        {.path = kSystemdRun,
         .argv = {kSystemdRun, "--scope", "--quiet", "--collect", "--property=Delegate=yes",
                  "--unit", unit, "--", "/bin/sh", "-c", "echo; exec cat"},
         .descriptors = {{0, input.read.get()}, {1, output.write.get()}, {2, errors.write.get()}},
         .environment = {"LANG=C.UTF-8"}});
    end_ = std::move(input.write);
    for (base::UniqueFd* mine : {&input.read, &output.write, &errors.write}) mine->reset();
    try {
      if (!ReadLine(output.read.get()).empty()) return;
      throw base::Error(base::Fault::kHost, "asking systemd for a scope")
          .Because(base::Printable(base::Trim(ReadLine(errors.read.get()))));
    } catch (...) {
      End();
      throw;
    }
  }
  ~Holder() { End(); }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  // Moves this process there.
  void Join() const {
    const std::string groups = OwnText(fmt::format("/proc/{}/cgroup", child_.pid));
    const size_t at = groups.find("0::/");
    if (at == std::string::npos) {
      throw base::Error(base::Fault::kHost, "finding systemd's scope")
          .Because("this host has no control groups v2");
    }
    const std::string place = groups.substr(at + 3, groups.find('\n', at) - at - 3);
    const std::string path = fmt::format("/sys/fs/cgroup{}/cgroup.procs", place);
    base::WriteFd(base::OpenHostPath(path, O_WRONLY).get(), "0\n", path);
  }

 private:
  void End() {
    end_.reset();  // its input: it ends
    kill(child_.pid, SIGTERM);
    int status = 0;
    while (waitpid(child_.pid, &status, 0) < 0 && errno == EINTR) {
    }
  }

  base::Child child_;
  base::UniqueFd end_;
};

}  // namespace

void RetryInOwnScope(base::Error& error) {
  if (dynamic_cast<const runtime::NotDelegated*>(&error) == nullptr) return;
  if (geteuid() != 0 || access(kSystemd, F_OK) < 0 || access(kSystemdRun, X_OK) < 0) return;
  const std::string unit = fmt::format("rundlet-{}.scope", getpid());
  if (OwnText("/proc/self/cgroup").find("/" + unit) != std::string::npos) return;
  try {
    Holder(unit).Join();
  } catch (const base::Error& refusal) {
    for (const std::string& cause : refusal.chain()) error.Because(cause);
    return;
  }
  std::vector<std::string> words = OwnCommand();
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(words.front().c_str(), arguments.data());
  base::ThrowErrno("starting `{}` again", words.front());
}

}  // namespace rundlet::cli
