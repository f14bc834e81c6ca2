#include "runtime/child/init.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "runtime/child/child.h"
#include "runtime/child/defences.h"

namespace rundlet::runtime {
namespace {

constexpr int kParking = 700;
constexpr int kLookMilliseconds = 500;
// A program that could not write a large buffer may have left some.
constexpr uint64_t kFewBlocks = 16;

struct Watch {
  int lifeline;
  int signals;
  int outcome;
  int scratch;
  int oom_control;  // or -1
};

// Keeps its descriptors and closes all others: init must not hold a pipe of the program open.
Watch KeepOnly(Prepared& prepared) {
  sigset_t all;
  sigfillset(&all);
  Watch watch;
  watch.lifeline = fcntl(prepared.lifeline, F_DUPFD_CLOEXEC, kParking);
  watch.outcome = fcntl(prepared.outcome, F_DUPFD_CLOEXEC, kParking);
  watch.scratch = fcntl(prepared.scratch, F_DUPFD_CLOEXEC, kParking);
  watch.oom_control =
      prepared.oom_control < 0 ? -1 : fcntl(prepared.oom_control, F_DUPFD_CLOEXEC, kParking);
  const int signals = signalfd(-1, &all, SFD_CLOEXEC);
  watch.signals = fcntl(signals, F_DUPFD_CLOEXEC, kParking);
  const int status = fcntl(prepared.status, F_DUPFD_CLOEXEC, kParking);
  if (watch.lifeline < 0 || watch.outcome < 0 || watch.signals < 0 || watch.scratch < 0 ||
      status < 0) {
    Fail(prepared, Stage::kInit, errno);
  }
  prepared.status = status;
  syscall(SYS_close_range, 0u, unsigned{kParking - 1}, 0);
  return watch;
}

// "... oom_kill 0" is its end; nobody is told when that changes.
bool KilledForMemory(int oom_control) {
  char text[256];
  const ssize_t count = pread(oom_control, text, sizeof text - 1, 0);
  if (count <= 0) return false;
  text[count] = '\0';
  const char* kills = strstr(text, "oom_kill ");
  return kills != nullptr && kills[strlen("oom_kill ")] != '0';
}

bool IsFull(int scratch) {
  struct statfs info;
  return fstatfs(scratch, &info) == 0 && (info.f_bavail < kFewBlocks || info.f_ffree == 0);
}

void RecordOutcome(const Prepared& prepared, const Watch& watch, int wait_status,
                   const rusage& usage) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  OutcomeRecord record{};
  record.magic = OutcomeRecord::kMagic;
  record.wait_status = wait_status;
  record.scratch_full = IsFull(watch.scratch);
  record.usage = usage;
  record.times = prepared.times;
  record.ended_at = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  [[maybe_unused]] const ssize_t written = pwrite(watch.outcome, &record, sizeof record, 0);
}

// Reaps whatever died. True when the program itself is among it; its outcome is then recorded.
bool Reap(const Prepared& prepared, const Watch& watch, pid_t program) {
  while (true) {
    int status;
    rusage usage;
    const pid_t dead = wait4(-1, &status, WNOHANG | __WALL, &usage);
    if (dead <= 0) return false;
    if (dead != program) continue;
    RecordOutcome(prepared, watch, status, usage);
    return true;
  }
}

}  // namespace

void RunInit(Prepared& prepared, pid_t program) {
  Reach(prepared, Stage::kInit);
  const Watch watch = KeepOnly(prepared);
  // Init stays root of its namespace with the capability to signal the program, and cannot be
  // looked into by it.
  prepared.uid = 0;
  prepared.gid = 0;
  prepared.keeps = Keeps::kInit;
  GiveUpPrivileges(prepared);
  prctl(PR_SET_DUMPABLE, Stands(Defence::kInit) ? 0 : 1, 0, 0, 0);
  close(prepared.status);
  while (true) {
    pollfd polled[2] = {{Stands(Defence::kLifeline) ? watch.lifeline : -1, POLLIN, 0},
                        {watch.signals, POLLIN, 0}};
    const int ready = poll(polled, 2, watch.oom_control < 0 ? -1 : kLookMilliseconds);
    if (ready < 0) continue;
    // A sandbox of which a part was killed would hang or lie: all of it goes, as on v2.
    if (ready == 0 && KilledForMemory(watch.oom_control)) kill(program, SIGKILL);
    if ((polled[0].revents & (POLLHUP | POLLERR)) != 0) _exit(1);
    if (polled[1].revents == 0) continue;
    signalfd_siginfo info;
    if (read(watch.signals, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
    if (info.ssi_signo == SIGCHLD) {
      if (Reap(prepared, watch, program)) _exit(0);
    } else {
      kill(program, static_cast<int>(info.ssi_signo));
    }
  }
}

}  // namespace rundlet::runtime
