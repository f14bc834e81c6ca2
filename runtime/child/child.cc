#include "runtime/child/child.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "runtime/child/defences.h"
#include "runtime/child/init.h"

namespace rundlet::runtime {
namespace {

constexpr rlim_t kOpenFiles = 65'536;
constexpr int kNewTime = 0x80;  // CLONE_NEWTIME, which the C library of old hosts does not know

void WaitForIdMap(Prepared& prepared) {
  char byte;
  ssize_t count;
  do {
    count = read(prepared.go, &byte, 1);
  } while (count < 0 && errno == EINTR);
  // The launcher closes its end without a byte when it could not write the map; it reports that
  // itself.
  if (count != 1) _exit(1);
  Reach(prepared, Stage::kIdMap);
}

// Its uptime begins now. While this process still is the host's root, to whom its files in the
// launcher's procfs belong. Kernels without time namespaces tell the host's uptime.
void BeginTime(const Prepared& prepared) {
  timespec now;
  char text[64];
  if (unshare(kNewTime) < 0) {
    if (errno != EINVAL) Fail(prepared, Stage::kIdentity, errno);
    return;
  }
  clock_gettime(CLOCK_BOOTTIME, &now);
  const int length =
      snprintf(text, sizeof text, "boottime -%lld 0\n", static_cast<long long>(now.tv_sec));
  const int offsets = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
  if (offsets < 0 || write(offsets, text, static_cast<size_t>(length)) != length)
    Fail(prepared, Stage::kIdentity, errno);
  close(offsets);
}

void BecomeRoot(Prepared& prepared) {
  // setgroups by system call: the C library's would signal threads that do not exist.
  if (syscall(SYS_setgroups, 0, nullptr) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) {
    Fail(prepared, Stage::kIdentity, errno);
  }
  Reach(prepared, Stage::kIdentity);
}

void SetLimits(Prepared& prepared) {
  const rlimit no_core = {0, 0};
  // One more than the control group lets through, whose refusals are counted. On hosts without that
  // controller this one limits; the kernel counts it for each user namespace.
  const rlimit processes = {rlim_t{prepared.pids} + 1, rlim_t{prepared.pids} + 1};
  rlimit files = {1024, kOpenFiles};
  // Its own control groups become the root of what it sees of them.
  if (unshare(CLONE_NEWCGROUP) < 0 ||
      sethostname(prepared.hostname, strlen(prepared.hostname)) < 0 ||
      (Stands(Defence::kSession) && setsid() < 0) || setrlimit(RLIMIT_CORE, &no_core) < 0 ||
      setrlimit(RLIMIT_NPROC, &processes) < 0) {
    Fail(prepared, Stage::kLimits, errno);
  }
  rlimit current;
  if (getrlimit(RLIMIT_NOFILE, &current) == 0 && current.rlim_max < files.rlim_max) {
    files.rlim_max = current.rlim_max;
    if (files.rlim_cur > files.rlim_max) files.rlim_cur = files.rlim_max;
  }
  if (setrlimit(RLIMIT_NOFILE, &files) < 0) Fail(prepared, Stage::kLimits, errno);
  // A session keyring of its own: without it the caller's keys are inherited. Kernels without
  // keyrings have none to leak.
  if (Stands(Defence::kKeyring) && syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 &&
      errno != ENOSYS) {
    Fail(prepared, Stage::kLimits, errno);
  }
  umask(022);
  Reach(prepared, Stage::kLimits);
}

}  // namespace

void Fail(const Prepared& prepared, Stage stage, int error_number, uint32_t index) {
  const Failure failure = {stage, error_number, index};
  [[maybe_unused]] const ssize_t written = write(prepared.status, &failure, sizeof failure);
  _exit(1);
}

void Reach(Prepared& prepared, Stage stage) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  prepared.times[static_cast<size_t>(stage)] = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  StopAt(stage);
}

void RunChild(Prepared& prepared) {
  WaitForIdMap(prepared);
  BeginTime(prepared);
  BecomeRoot(prepared);
  MountTree(prepared);
  SetLimits(prepared);
  if (prepared.terminal != nullptr) OpenTerminal(prepared);
  RestrictWrites(prepared);
  Confine(prepared);
  const pid_t program = fork();
  if (program < 0) Fail(prepared, Stage::kInit, errno);
  if (program == 0) RunProgram(prepared);
  RunInit(prepared, program);
}

}  // namespace rundlet::runtime
