// Connections of one sandbox to the worker that serves it. Who connects is hostile: every wait has
// an end, and every length a limit.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace rundlet::rootfs::worker {

using Clock = std::chrono::steady_clock;

constexpr auto kHeadTime = std::chrono::seconds(10);
constexpr auto kSendTime = std::chrono::seconds(60);
constexpr size_t kMaxHead = size_t{8} * 1024;

// Ends a connection; with an answer when there is a status.
struct Refusal {
  int status = 0;
  std::string reason;
};

bool WaitUntil(int fd, short events, Clock::time_point deadline);
// Appends one read; false at the end of the stream and when the time is over.
bool ReadMore(int fd, std::string& bytes, size_t limit, Clock::time_point deadline);
bool WriteAll(int fd, std::string_view bytes, Clock::time_point deadline);
// Within kSendTime.
bool Send(int client, std::string_view bytes);

// The length of a request's head at the beginning of `text`, with its empty line; nothing: not
// complete.
std::optional<size_t> HeadLength(std::string_view text);
// Reads until `bytes` begin with a whole head, and gives its length. Throws Refusal.
size_t ReadHead(int client, std::string& bytes, size_t limit = kMaxHead);

// The first line of a complete head (RFC 9112); nothing when it is none of HTTP/1.0 or 1.1.
struct RequestLine {
  std::string method;
  std::string target;
  std::string version;
};
std::optional<RequestLine> ReadRequestLine(std::string_view head);

// Says that no more is sent and reads, for a moment, what the client still sends: closing before
// would take the answer away from it.
void Linger(int client);

// Serves each connection that `listener` accepts in a thread of its own, 128 at once; others wait
// to be accepted. Ends with the process. `serve` throws nothing.
[[noreturn]] void ServeConnections(int listener, const std::function<void(base::UniqueFd)>& serve);

}  // namespace rundlet::rootfs::worker
