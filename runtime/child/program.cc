#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "runtime/child/child.h"
#include "runtime/child/defences.h"

namespace rundlet::runtime {
namespace {

// Above every number that a program is given; sources are copied here first so that none overwrites
// another.
constexpr int kParking = 700;
constexpr size_t kMaxFiles = 253;

// 0, 1, 2, then the files; everything else is closed at exec at the latest.
bool ArrangeDescriptors(Prepared& prepared) {
  int parked[3 + kMaxFiles];
  const size_t count = 3 + prepared.file_count;
  for (size_t i = 0; i < count; ++i) {
    const int source = i < 3 ? prepared.standard[i] : prepared.files[i - 3];
    parked[i] = fcntl(source, F_DUPFD_CLOEXEC, kParking);
    if (parked[i] < 0) return false;
  }
  prepared.status = fcntl(prepared.status, F_DUPFD_CLOEXEC, kParking);
  if (prepared.program >= 0) prepared.program = fcntl(prepared.program, F_DUPFD_CLOEXEC, kParking);
  for (size_t i = 0; i < count; ++i) {
    if (dup2(parked[i], static_cast<int>(i)) < 0) return false;
  }
  const auto first_free = static_cast<unsigned>(count);
  if (!Stands(Defence::kDescriptors)) {
    for (int fd = static_cast<int>(count); fd < kParking; ++fd) fcntl(fd, F_SETFD, 0);
    return true;
  }
  return syscall(SYS_close_range, first_free, unsigned{kParking - 1}, 0) == 0 &&
         syscall(SYS_close_range, first_free, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

void EnterDirectory(Prepared& prepared) {
  char path[PATH_MAX];
  // A directory outside the root would read as "(unreachable)/...": never start there.
  if (chdir(prepared.cwd) < 0) Fail(prepared, Stage::kDirectory, errno);
  if (Stands(Defence::kDirectory) && (syscall(SYS_getcwd, path, sizeof path) < 0 || path[0] != '/'))
    Fail(prepared, Stage::kDirectory, EACCES);
  Reach(prepared, Stage::kDirectory);
}

}  // namespace

void RunProgram(Prepared& prepared) {
  if (!ArrangeDescriptors(prepared)) Fail(prepared, Stage::kPrivileges, errno);
  if (prepared.terminal != nullptr) ControlTerminal(prepared);
  GiveUpPrivileges(prepared);
  EnterDirectory(prepared);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (prepared.program >= 0) {
    syscall(SYS_execveat, prepared.program, "", prepared.argv, prepared.environment, AT_EMPTY_PATH);
    Fail(prepared, Stage::kExec, errno);
  }
  int error_number = ENOENT;
  for (char* const* path = prepared.programs; *path != nullptr; ++path) {
    execve(*path, prepared.argv, prepared.environment);
    // As a shell does: go on looking, but remember a file that was there and could not be run.
    if (errno != ENOENT && errno != ENOTDIR) error_number = errno;
  }
  Fail(prepared, Stage::kExec, error_number);
}

}  // namespace rundlet::runtime
