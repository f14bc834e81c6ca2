#include "runtime/launcher/user_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace rundlet::runtime {
namespace {

using base::ThrowErrno;
using base::UniqueFd;

constexpr size_t kStackBytes = 16384;

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

// A process of its own has to be in it first. That one shares our memory until it has ended, which
// spares a copy; its namespace can be named until it is waited for.
UniqueFd NamespaceForMounts(const IdRange& ids) {
  alignas(16) char stack[kStackBytes];
  const pid_t pid = clone([](void*) { return 0; }, stack + sizeof stack,
                          CLONE_NEWUSER | CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr);
  if (pid < 0) ThrowErrno("making a user namespace");
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
  const bool mapped = WriteIdMap(pid, ids);
  const int map_error = errno;
  UniqueFd space(open(path, O_RDONLY | O_CLOEXEC));
  const int open_error = errno;
  waitpid(pid, nullptr, 0);
  if (!mapped) throw base::ErrnoError(map_error, "mapping a user namespace's ids");
  if (!space.valid()) throw base::ErrnoError(open_error, "opening a user namespace");
  return space;
}

}  // namespace rundlet::runtime
