#include "runtime/launcher/user_namespace.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace rundlet::runtime {
namespace {

using base::ThrowErrno;
using base::UniqueFd;

bool WriteWhole(const char* path, const char* text) {
  const UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return false;
  const auto length = static_cast<ssize_t>(strlen(text));
  return write(file.get(), text, static_cast<size_t>(length)) == length;
}

}  // namespace

bool WriteIdMap(pid_t pid, const IdRange& ids) {
  char map[64];
  char path[64];
  snprintf(map, sizeof map, "0 %u %u\n", ids.base, ids.count);
  for (const char* kind : {"uid", "gid"}) {
    snprintf(path, sizeof path, "/proc/%d/%s_map", pid, kind);
    if (!WriteWhole(path, map)) return false;
  }
  return true;
}

UniqueFd NamespaceForMounts(const IdRange& ids) {
  clone_args arguments{};
  arguments.flags = CLONE_NEWUSER;
  arguments.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid < 0) ThrowErrno("making a user namespace");
  if (pid == 0) {
    while (true) pause();
  }
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
  const bool mapped = WriteIdMap(pid, ids);
  const int map_error = errno;
  UniqueFd space(open(path, O_RDONLY | O_CLOEXEC));
  const int open_error = errno;
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  if (!mapped) throw base::ErrnoError(map_error, "mapping a user namespace's ids");
  if (!space.valid()) throw base::ErrnoError(open_error, "opening a user namespace");
  return space;
}

}  // namespace rundlet::runtime
