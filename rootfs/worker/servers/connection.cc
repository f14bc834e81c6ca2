#include "rootfs/worker/servers/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr ptrdiff_t kMostConnections = 128;
constexpr auto kLingerTime = std::chrono::seconds(2);
constexpr size_t kLingerBytes = 1 << 20;

}  // namespace

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

bool Send(int client, std::string_view bytes) {
  return WriteAll(client, bytes, Clock::now() + kSendTime);
}

std::optional<size_t> HeadLength(std::string_view text) {
  const size_t end = text.find("\r\n\r\n");
  return end == std::string_view::npos ? std::nullopt : std::optional(end + 4);
}

size_t ReadHead(int client, std::string& bytes, size_t limit) {
  const auto deadline = Clock::now() + kHeadTime;
  std::optional<size_t> length;
  while (!(length = HeadLength(bytes)).has_value()) {
    if (bytes.size() >= limit) throw Refusal{431, "the request's head is too long"};
    if (!ReadMore(client, bytes, limit, deadline))
      throw Refusal{Clock::now() < deadline ? 0 : 408, "the request took too long"};
  }
  return *length;
}

std::optional<RequestLine> ReadRequestLine(std::string_view head) {
  std::vector<std::string> words = base::Split(head.substr(0, head.find("\r\n")), ' ');
  if (words.size() != 3 || (words[2] != "HTTP/1.1" && words[2] != "HTTP/1.0")) return std::nullopt;
  return RequestLine{std::move(words[0]), std::move(words[1]), std::move(words[2])};
}

void Linger(int client) {
  shutdown(client, SHUT_WR);
  const auto deadline = Clock::now() + kLingerTime;
  for (size_t size = 0; size < kLingerBytes;) {
    std::string rest;
    if (!ReadMore(client, rest, kLingerBytes, deadline)) return;
    size += rest.size();
  }
}

void ServeConnections(int listener, const std::function<void(base::UniqueFd)>& serve) {
  std::counting_semaphore<kMostConnections> free(kMostConnections);
  while (true) {
    free.acquire();
    base::UniqueFd client(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.valid()) {
      free.release();
      if (errno == EINTR || errno == ECONNABORTED) continue;
      base::ThrowErrno("accepting a connection");
    }
    std::thread([&serve, &free, held = std::move(client)]() mutable {
      serve(std::move(held));
      free.release();
    }).detach();
  }
}

}  // namespace rundlet::rootfs::worker
