// The terminal of a program that has one: of the sandbox's own devpts, never the caller's. Whoever
// started the sandbox gets its other side, and nothing inside can reach beyond that.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/child/child.h"

namespace rundlet::runtime {
namespace {

constexpr char kMultiplexer[] = "/dev/pts/ptmx";

// The kernel's own, whatever a mount may have put in its place.
bool IsMultiplexer(int fd) {
  struct stat info;
  struct statfs system;
  return fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(5, 2) &&
         fstatfs(fd, &system) == 0 && system.f_type == DEVPTS_SUPER_MAGIC;
}

bool Send(int socket, int fd) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  char byte = 0;
  iovec vector = {&byte, 1};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

}  // namespace

// As root of the sandbox, to whom the devpts belongs.
void OpenTerminal(Prepared& prepared) {
  const int other = open(kMultiplexer, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (other < 0) Fail(prepared, Stage::kTerminal, errno);
  if (!IsMultiplexer(other)) Fail(prepared, Stage::kTerminal, ENODEV);
  const int unlocked = 0;
  const winsize size = {prepared.terminal->rows, prepared.terminal->columns, 0, 0};
  const bool set = ioctl(other, TIOCSPTLCK, &unlocked) == 0 && ioctl(other, TIOCSWINSZ, &size) == 0;
  // By descriptor: its path could be anything's.
  const int terminal = set ? ioctl(other, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
  if (terminal < 0 || fchown(terminal, prepared.uid, prepared.gid) < 0 ||
      !Send(prepared.standard[0], other)) {
    Fail(prepared, Stage::kTerminal, errno);
  }
  close(other);
  for (int& stream : prepared.standard) {
    close(stream);
    stream = terminal;
  }
  Reach(prepared, Stage::kTerminal);
}

// In the program's process: a session of its own, apart from init's, which must not get the
// terminal's signals.
void ControlTerminal(Prepared& prepared) {
  if (setsid() < 0 || ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
    Fail(prepared, Stage::kTerminal, errno);
}

}  // namespace rundlet::runtime
