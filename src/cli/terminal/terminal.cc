#include "cli/terminal/terminal.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/fs.h"

namespace rundlet::cli {
namespace {

constexpr size_t kMaxType = 64;

// Waits for the end of whoever holds the pipe's other end, then puts the settings back. In a
// process group of its own: what is sent to the caller's is not for it. With its signals blocked a
// process in the background may change the terminal.
[[noreturn]] void KeepSettings(int pipe, const termios& settings) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  setpgid(0, 0);
  dup2(pipe, STDOUT_FILENO);
  syscall(SYS_close_range, unsigned{STDERR_FILENO}, ~0u, 0);
  char byte;
  while (read(STDOUT_FILENO, &byte, 1) < 0 && errno == EINTR) {
  }
  tcsetattr(STDIN_FILENO, TCSANOW, &settings);
  _exit(0);
}

void RequireTerminals() {
  for (const auto& [fd, name] : {std::pair{STDIN_FILENO, "input"}, {STDOUT_FILENO, "output"}}) {
    if (isatty(fd) != 0) continue;
    throw base::Error(base::Fault::kInvalid, "starting a shell")
        .Because(fmt::format("standard {} is not a terminal", name))
        .Hint("run a command in the same sandbox with `rundlet exec`");
  }
}

}  // namespace

Terminal::Terminal() {
  RequireTerminals();
  if (tcgetattr(STDIN_FILENO, &settings_) < 0) base::ThrowErrno("reading the terminal's settings");
  terminal_ = base::OpenHostPath("/proc/self/fd/0", O_RDWR | O_NOCTTY | O_NONBLOCK);
  sigset_t resize;
  sigemptyset(&resize);
  sigaddset(&resize, SIGWINCH);
  sigprocmask(SIG_BLOCK, &resize, nullptr);
  resized_ = base::UniqueFd(signalfd(-1, &resize, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!resized_.valid()) base::ThrowErrno("waiting for the terminal's size");
  base::Pipe pipe = base::MakePipe();
  keeper_process_ = fork();
  if (keeper_process_ < 0) base::ThrowErrno("keeping the terminal's settings");
  if (keeper_process_ == 0) KeepSettings(pipe.read.get(), settings_);
  keeper_ = std::move(pipe.write);
}

Terminal::~Terminal() {
  keeper_.reset();
  while (waitpid(keeper_process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

runtime::TerminalSize Terminal::Size() {
  signalfd_siginfo info;
  while (read(resized_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
  }
  winsize size{};
  if (ioctl(terminal_.get(), TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
    return {};
  return {size.ws_row, size.ws_col};
}

std::string Terminal::Type() const {
  const char* type = std::getenv("TERM");
  const std::string_view text = type == nullptr ? "" : type;
  const bool plain =
      !text.empty() && text.size() <= kMaxType && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '+' || c == '.' || c == '_';
      });
  return plain ? std::string(text) : "dumb";
}

void Terminal::MakeRaw() {
  termios raw = settings_;
  cfmakeraw(&raw);
  if (tcsetattr(terminal_.get(), TCSADRAIN, &raw) < 0)
    base::ThrowErrno("changing the terminal's settings");
}

}  // namespace rundlet::cli
