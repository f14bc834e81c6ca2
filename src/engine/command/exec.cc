#include "engine/command/exec.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/process.h"
#include "base/text.h"
#include "base/walls.h"
#include "engine/packages/bytecode.h"
#include "engine/sandbox/sandbox_network.h"

namespace rundlet::engine {
namespace {

constexpr int kTimedOutCode = 124;  // as timeout(1)

// The caller's streams are the command's. A directory would lead it to that one's parents: the
// host's.
void RequireNoDirectories(const std::string& command) {
  for (const auto& [fd, name] : {std::pair{STDIN_FILENO, "input"},
                                 {STDOUT_FILENO, "output"},
                                 {STDERR_FILENO, "error output"}}) {
    struct stat info;
    if (fstat(fd, &info) < 0 || !S_ISDIR(info.st_mode) || !base::Holds(base::Wall::kStreams))
      continue;
    throw base::Error(base::Fault::kInvalid, fmt::format("starting `{}`", base::Printable(command)))
        .Because(fmt::format("its standard {} is a directory", name))
        .Hint("`--mount` gives it one");
  }
}

runtime::Outcome WaitForCommand(runtime::Sandbox& sandbox, CommandWatch& watch, int interrupt) {
  while (true) {
    pollfd polled[2] = {{sandbox.pidfd(), POLLIN, 0}, {interrupt, POLLIN, 0}};
    if (poll(polled, 2, watch.Left()) < 0 && errno != EINTR)
      base::ThrowErrno("waiting for a sandbox");
    if (polled[0].revents != 0) return sandbox.Wait(nullptr);
    unsigned char number;
    if (polled[1].revents != 0 && read(interrupt, &number, 1) == 1) watch.PassOn(number);
    watch.ActInTime();
  }
}

}  // namespace

ExecOutcome OutcomeOf(const runtime::SandboxSpec& spec, const runtime::Outcome& outcome,
                      const CommandWatch& watch, const WantedLimits& limits) {
  ExecOutcome result;
  result.exit_code =
      outcome.end == runtime::Outcome::End::kExited ? outcome.code : 128 + outcome.code;
  result.limit = StruckLimit(spec, outcome);
  if (watch.timed_out()) {
    result.exit_code = kTimedOutCode;
    result.limit = TimedOut(*limits.timeout);
  }
  result.stages = outcome.times;
  result.ended_at = outcome.ended_at;
  result.peak_memory = outcome.peak_memory;
  result.cpu_time = outcome.user_time + outcome.system_time;
  return result;
}

ExecOutcome Exec(Engine& engine, CommandRequest request, EventBus& events,
                 const base::CancelToken* cancel, int interrupt) {
  const int64_t requested_at = base::MonotonicNanoseconds();
  RequireNoDirectories(request.command.front());
  Command command = PrepareCommand(engine, std::move(request), events, cancel);
  const runtime::CheckedSpec checked = runtime::CheckSpec(std::move(command.spec));
  if (cancel != nullptr) cancel->ThrowIfCancelled();
  const int64_t prepared_at = base::MonotonicNanoseconds();
  runtime::Sandbox running =
      engine.launcher().Start({.spec = &checked,
                               .standard_input = STDIN_FILENO,
                               .standard_output = STDOUT_FILENO,
                               .standard_error = STDERR_FILENO,
                               .mounts = command.handed.numbers(),
                               .last = command.last() && engine.bytecode().left() == 0});
  const auto proxy = StartProxy(engine, command.network, running);
  CommandWatch watch(running, command.limits.timeout, [&running] { running.Signal(SIGTERM); });
  const runtime::Outcome outcome = WaitForCommand(running, watch, interrupt);
  ExecOutcome result = OutcomeOf(checked.value(), outcome, watch, command.limits);
  result.requested_at = requested_at;
  result.prepared_at = prepared_at;
  return result;
}

}  // namespace rundlet::engine
