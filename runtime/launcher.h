// The engine's side of the launcher: a small single-threaded process that clones sandboxes.
//
// clone3 takes 0.17 ms from a small process and 57 ms from one with 2 GiB resident, and a threaded
// process must not clone at all; so the engine never clones. The launcher is started with
// posix_spawn and, when it dies, replaced the same way; sandboxes that run are not touched by that.
// Sandboxes are children of the *engine's* process. Thread safety: Start may be called from several
// threads.
#pragma once

#include <chrono>
#include <csignal>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/process.h"
#include "runtime/cgroup/engine_groups.h"
#include "runtime/spec/record.h"
#include "runtime/spec/sandbox_spec.h"

namespace rundlet::runtime {

// All descriptors are borrowed for the call of Start.
struct SandboxRequest {
  const CheckedSpec* spec = nullptr;
  int standard_input = -1;  // these three not with SandboxSpec::terminal
  int standard_output = -1;
  int standard_error = -1;
  std::vector<int> files = {};   // the program has them as 3, 4, 5, ...
  std::vector<int> mounts = {};  // detached mounts, for HandedMount::index
  int program = -1;              // for SandboxSpec::program_by_descriptor
  bool last = false;             // no other is expected: nothing is prepared for it
};

struct Outcome {
  enum class End { kExited, kSignalled };
  End end = End::kExited;
  int code = 0;  // exit code or signal number
  // Of all its processes; without control groups, of the largest, and of those that were waited
  // for.
  uint64_t peak_memory = 0;  // bytes
  std::chrono::nanoseconds user_time{0};
  std::chrono::nanoseconds system_time{0};
  // What its limits did.
  uint64_t memory_kills = 0;   // processes that the kernel killed for memory
  uint64_t forks_refused = 0;  // processes and threads beyond the limit
  bool scratch_full = false;   // when the program ended
  StageTimes times{};
  int64_t ended_at = 0;  // CLOCK_MONOTONIC nanoseconds
};

// A running sandbox. Destroying it kills everything in it and waits for that.
class Sandbox {
 public:
  Sandbox(Sandbox&&) noexcept = default;
  Sandbox& operator=(Sandbox&&) = delete;
  ~Sandbox();

  // Waits for the end. When the token is set first: TERM, the grace period, KILL; then throws
  // base::Cancelled.
  Outcome Wait(const base::CancelToken* cancel,
               std::chrono::milliseconds grace = std::chrono::seconds(5));
  // TERM, the grace period, KILL.
  Outcome Stop(std::chrono::milliseconds grace = std::chrono::seconds(5));
  // Sends a signal to the program (its init passes it on). A sandbox that is gone is fine.
  void Signal(int number) const;
  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable once the sandbox has ended
  // With SandboxSpec::terminal: what a user would sit at. Reading fails with EIO once nobody inside
  // has it open.
  int terminal() const { return terminal_.get(); }  // -1: hung up
  // With Network::kProxied, once.
  base::UniqueFd TakeListener() { return std::move(listener_); }
  // Takes the other side away: its programs get HUP, and the end of the terminal when they read.
  void HangUp() { terminal_.reset(); }

 private:
  friend class Launcher;
  Sandbox() = default;
  void WaitForStart(const SandboxSpec& spec);
  Outcome Collect();
  Outcome ReadRecord(const siginfo_t& info) const;

  pid_t pid_ = -1;
  base::UniqueFd pidfd_;
  base::UniqueFd status_;    // read end of the status pipe
  base::UniqueFd outcome_;   // memory file that init writes
  base::UniqueFd lifeline_;  // while we hold this, the sandbox lives
  base::UniqueFd terminal_;
  base::UniqueFd listener_;
  std::shared_ptr<EngineGroups> groups_;
  uint64_t leaf_ = 0;
  bool collected_ = false;
};

// Which sandboxes have control groups. On v1 those of a process that starts one sandbox take longer
// than all else that it does.
enum class GroupUse {
  kAll,      // what each used can be told
  kLimited,  // until there is the first with a limit that needs one
};

class Launcher {
 public:
  // `program` is the path of rundlet-launcher; `state_dir` a descriptor of the state directory
  // (borrowed for the call).
  Launcher(std::string program, int state_dir);
  ~Launcher();

  // Starts the launcher's process, which then gets ready for a sandbox with these ids while the
  // caller does something else. Without it the first Start does so, with groups for all.
  void Prepare(const IdRange& ids, GroupUse use);

  // Starts a sandbox and returns when its program runs. Throws base::Error that names the stage.
  Sandbox Start(const SandboxRequest& request);

  // Throws base::Error (kHost) when this host cannot enforce one of these limits. Start does so
  // too; this is for telling before anything else is done.
  void Require(const Limits& limits);

 private:
  EngineGroups& Groups();
  EngineGroups& GroupsFor(const Limits& limits);
  void StartProcess(const IdRange& ids);
  void EnsureProcess(const IdRange& ids);
  void SendSetup();

  const std::string program_;
  base::UniqueFd state_dir_;
  std::mutex mutex_;  // one request at a time on the socket
  GroupUse use_ = GroupUse::kAll;
  std::shared_ptr<EngineGroups> groups_;
  base::UniqueFd socket_;
  base::Child process_;
};

// A detached clone of the mount at an open file or directory of this process's mount namespace, for
// SandboxRequest::mounts. With what is mounted below it when `recursive`. It is private: what is
// mounted below it later, here or in a sandbox, stays there. Throws base::Error.
enum class CloneDepth { kOne, kRecursive };
base::UniqueFd DetachedClone(int fd, CloneDepth depth);

// A detached tmpfs of at most `bytes`, and a file for each 4 KiB of them, whose root belongs to
// `uid` of the host. It and its content are gone when the last descriptor and mount of it are.
base::UniqueFd DetachedTmpfs(uint64_t bytes, uint32_t uid, uint32_t mode);

// The program could not be started inside the sandbox for a reason that is the user's: 126 not
// executable, 127 absent.
class ProgramError : public base::Error {
 public:
  ProgramError(int exit_code, std::string attempted)
      : Error(base::Fault::kInvalid, std::move(attempted)), exit_code_(exit_code) {}
  int exit_code() const { return exit_code_; }

 private:
  int exit_code_;
};

}  // namespace rundlet::runtime
