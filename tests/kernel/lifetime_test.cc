// How sandboxes end: with their program, with the engine, on request; and that nothing survives.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "base/fs.h"
#include "sandbox_test.h"

namespace rundlet::runtime {
namespace {

using base::UniqueFd;
using std::chrono::milliseconds;

class Lifetime : public SandboxTest {};

UniqueFd PidfdOf(pid_t pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

void Kill(const UniqueFd& pidfd) {
  ASSERT_EQ(syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0), 0);
  AwaitEnd(pidfd.get());
}

TEST_F(Lifetime, DaemonsDieWithTheProgram) {
  const Finished finished = Run(Spec({"scatter", "20"}));
  EXPECT_EQ(finished.outcome.code, 7);
  EXPECT_EQ(finished.output, "scattered\n");
  EXPECT_EQ(ProcessesOf(ids_), std::vector<pid_t>{});
}

TEST_F(Lifetime, SignalsReachAProgramOfAnotherUid) {
  Running running = StartUntil(Spec({"obedient"}), "ready");
  running.sandbox->Signal(SIGTERM);
  EXPECT_EQ(running.sandbox->Wait(nullptr).code, 42);

  Running stubborn = StartUntil(Spec({"stubborn"}), "ready");
  stubborn.sandbox->Signal(SIGTERM);
  stubborn.sandbox->Signal(SIGKILL);
  EXPECT_EQ(stubborn.sandbox->Wait(nullptr).code, SIGKILL);
  stubborn.sandbox->Signal(SIGTERM);  // of a sandbox that is gone: fine
}

TEST_F(Lifetime, AProgramKillsNobodyButItsOwn) {
  Running other = StartUntil(Spec({"obedient"}), "ready");
  for (const uint32_t uid : {0u, 1000u}) {
    SandboxSpec spec = Spec({"kill-all"});
    spec.uid = spec.gid = uid;
    const Finished finished = Run(spec);
    EXPECT_EQ(finished.outcome.code, 0) << "it is not among them, nor is init";
    EXPECT_EQ(finished.output, "ESRCH\n");
  }
  other.sandbox->Signal(SIGTERM);
  EXPECT_EQ(other.sandbox->Wait(nullptr).code, 42) << "of the same host uid, in its own namespace";
}

TEST_F(Lifetime, CancelAsksFirst) {
  Running running = StartUntil(Spec({"obedient"}), "ready");
  base::CancelToken cancel;
  cancel.Cancel();
  // With this much grace a program that ignored TERM would run into the test's own limit.
  EXPECT_THROW(running.sandbox->Wait(&cancel, std::chrono::hours(1)), base::Cancelled);
  EXPECT_EQ(ProcessesOf(ids_), std::vector<pid_t>{});
}

TEST_F(Lifetime, CancelKillsWhatIgnoresIt) {
  for (const char* program : {"stubborn", "stopped"}) {
    Running running = StartUntil(Spec({program}), "ready");
    base::CancelToken cancel;
    cancel.Cancel();
    EXPECT_THROW(running.sandbox->Wait(&cancel, milliseconds(1)), base::Cancelled);
    EXPECT_EQ(ProcessesOf(ids_), std::vector<pid_t>{});
  }
}

TEST_F(Lifetime, DestroyingASandboxKillsAllOfIt) {
  for (const char* program : {"stubborn", "stopped", "obedient"}) {
    Running running = StartUntil(Spec({program}), "ready");
    EXPECT_EQ(ProcessesOf(ids_).size(), 2u);
    running.sandbox.reset();
    EXPECT_EQ(ProcessesOf(ids_), std::vector<pid_t>{});
  }
}

TEST_F(Lifetime, ADeadLauncherIsReplacedAndSandboxesGoOn) {
  Running running = StartUntil(Spec({"obedient"}), "ready");
  const pid_t first = LauncherProcess();
  ASSERT_GT(first, 0);
  Kill(PidfdOf(first));
  EXPECT_EQ(Run(Spec({"exit", "3"})).outcome.code, 3) << "by another launcher, unnoticed";
  EXPECT_NE(LauncherProcess(), first);
  running.sandbox->Signal(SIGTERM);
  EXPECT_EQ(running.sandbox->Wait(nullptr).code, 42);
}

TEST_F(Lifetime, ASandboxOutlivesItsLauncher) {
  Running running = StartUntil(Spec({"obedient"}), "ready");
  launcher_.reset();
  running.sandbox->Signal(SIGTERM);
  EXPECT_EQ(running.sandbox->Wait(nullptr).code, 42);
}

TEST_F(Lifetime, SandboxesDieWithTheEngine) {
  // Orphans come to us instead of the host's init, so that they can be waited for here.
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  base::Pipe pipe = base::MakePipe();
  const pid_t engine = fork();
  ASSERT_GE(engine, 0);
  if (engine == 0) {
    Running running = StartUntil(Spec({"scatter", "3"}), "scattered");
    Running stubborn = StartUntil(Spec({"stubborn"}), "ready");
    const pid_t pids[] = {stubborn.sandbox->pid(), LauncherProcess()};
    if (write(pipe.write.get(), pids, sizeof pids) != sizeof pids) _exit(1);
    while (true) pause();
  }
  pid_t pids[2] = {};
  ASSERT_EQ(read(pipe.read.get(), pids, sizeof pids), static_cast<ssize_t>(sizeof pids));
  const UniqueFd sandbox = PidfdOf(pids[0]);
  const UniqueFd launcher = PidfdOf(pids[1]);
  ASSERT_TRUE(sandbox.valid() && launcher.valid());
  Kill(PidfdOf(engine));
  AwaitEnd(sandbox.get());
  AwaitEnd(launcher.get());
  while (waitpid(-1, nullptr, __WALL) > 0) {
  }
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(ProcessesOf(ids_), std::vector<pid_t>{});
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

}  // namespace
}  // namespace rundlet::runtime
