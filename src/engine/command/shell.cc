#include "engine/command/shell.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "base/error.h"
#include "engine/packages/bytecode.h"
#include "engine/sandbox/sandbox_network.h"

namespace rundlet::engine {
namespace {

constexpr size_t kPendingLimit = 1 << 16;

// One direction: what was read and could not be written yet.
class Carrier {
 public:
  // Ends when either descriptor is gone (-1).
  Carrier(std::function<int()> from, std::function<int()> to)
      : from_(std::move(from)), to_(std::move(to)) {}

  // For poll: -1 when there is nothing to read or write for now.
  int source() const { return open_ && pending_.size() < kPendingLimit ? from_() : -1; }
  int sink() const { return pending_.empty() ? -1 : to_(); }
  bool open() const { return open_; }

  // One read. Ends with the stream; EIO is the end of a terminal.
  void Read() {
    char buffer[1 << 14];
    const ssize_t count = read(from_(), buffer, sizeof buffer);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (count <= 0) {
      open_ = false;
    } else {
      pending_.append(buffer, static_cast<size_t>(count));
    }
  }

  void Write() {
    const ssize_t count = write(to_(), pending_.data(), pending_.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
    // Nobody is there any more: what is left is for nobody.
    pending_.erase(0, count < 0 ? pending_.size() : static_cast<size_t>(count));
  }

 private:
  std::function<int()> from_;
  std::function<int()> to_;
  bool open_ = true;
  std::string pending_;
};

// The user's terminal on one side, the sandbox's on the other.
class Relay {
 public:
  Relay(runtime::Sandbox& sandbox, UserTerminal& user, CommandWatch& watch)
      : sandbox_(sandbox),
        user_(user),
        watch_(watch),
        keys_([&user] { return user.descriptor(); }, [&sandbox] { return sandbox.terminal(); }),
        output_([&sandbox] { return sandbox.terminal(); }, [&user] { return user.descriptor(); }) {}

  runtime::Outcome Wait(int interrupt) {
    PassSizeOn();  // it may have changed since the start
    bool ended = false;
    while (!ended) ended = Step(sandbox_.pidfd(), interrupt);
    // What its programs wrote last. All of them are gone: reading ends.
    while (output_.open()) {
      output_.Read();
      if (output_.open() && !Wanted(sandbox_.terminal())) break;
    }
    while (output_.sink() >= 0 && !Step(-1, interrupt)) {
    }
    return sandbox_.Wait(nullptr);
  }

 private:
  static bool Wanted(int fd) {
    pollfd polled = {fd, POLLIN, 0};
    return poll(&polled, 1, 0) > 0;
  }

  // True once the sandbox has ended, or, when nobody asks for that, once it is not worth waiting.
  bool Step(int pidfd, int interrupt) {
    const bool running = pidfd >= 0;
    pollfd polled[7] = {{pidfd, POLLIN, 0},
                        {interrupt, POLLIN, 0},
                        {running ? user_.resized() : -1, POLLIN, 0},
                        {running ? keys_.source() : -1, POLLIN, 0},
                        {running ? keys_.sink() : -1, POLLOUT, 0},
                        {running ? output_.source() : -1, POLLIN, 0},
                        {output_.sink(), POLLOUT, 0}};
    if (poll(polled, 7, watch_.Left()) < 0 && errno != EINTR)
      base::ThrowErrno("waiting for a sandbox");
    unsigned char number;
    if (polled[1].revents != 0 && read(interrupt, &number, 1) == 1) {
      watch_.Ask();
      if (!running) return true;
    }
    if (polled[2].revents != 0) PassSizeOn();
    if (polled[3].revents != 0) {
      keys_.Read();
      if (!keys_.open()) watch_.Ask();
    }
    if (polled[4].revents != 0) keys_.Write();
    if (polled[5].revents != 0) output_.Read();
    if (polled[6].revents != 0) output_.Write();
    watch_.ActInTime();
    return running && polled[0].revents != 0;
  }

  void PassSizeOn() {
    const runtime::TerminalSize size = user_.Size();
    const winsize inside = {size.rows, size.columns, 0, 0};
    ioctl(sandbox_.terminal(), TIOCSWINSZ, &inside);  // its programs are told when it is another
  }

  runtime::Sandbox& sandbox_;
  UserTerminal& user_;
  CommandWatch& watch_;
  Carrier keys_;
  Carrier output_;
};

}  // namespace

std::vector<std::string> ShellCommand() {
  return {"sh", "-c", "if command -v bash >/dev/null; then exec bash; else exec sh; fi"};
}

ExecOutcome RunAtTerminal(Engine& engine, Command command, UserTerminal& terminal,
                          const base::CancelToken* cancel, int interrupt) {
  command.spec.terminal = terminal.Size();
  SetVariable(command.spec, "TERM", terminal.Type());
  const runtime::CheckedSpec checked = runtime::CheckSpec(std::move(command.spec));
  if (cancel != nullptr) cancel->ThrowIfCancelled();
  runtime::Sandbox running =
      engine.launcher().Start({.spec = &checked,
                               .mounts = command.handed.numbers(),
                               .last = command.last() && engine.bytecode().left() == 0});
  const auto proxy = StartProxy(engine, command.network, running);
  terminal.MakeRaw();
  CommandWatch watch(running, command.limits.timeout, [&running] { running.HangUp(); });
  const runtime::Outcome outcome = Relay(running, terminal, watch).Wait(interrupt);
  return OutcomeOf(checked.value(), outcome, watch, command.limits);
}

}  // namespace rundlet::engine
