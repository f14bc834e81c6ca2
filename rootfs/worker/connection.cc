#include "rootfs/worker/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace rundlet::rootfs::worker {

bool WaitUntil(int fd, short events, Clock::time_point deadline) {
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd polled = {fd, events, 0};
    const int ready = poll(&polled, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

bool ReadMore(int fd, std::string& bytes, size_t limit, Clock::time_point deadline) {
  if (!WaitUntil(fd, POLLIN, deadline)) return false;
  char buffer[4096];
  const ssize_t count = read(fd, buffer, std::min(sizeof buffer, limit - bytes.size()));
  if (count > 0) bytes.append(buffer, static_cast<size_t>(count));
  return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

bool WriteAll(int fd, std::string_view bytes, Clock::time_point deadline) {
  while (!bytes.empty()) {
    if (!WaitUntil(fd, POLLOUT, deadline)) return false;
    const ssize_t count = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (count > 0) bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

}  // namespace rundlet::rootfs::worker
