// Reading and writing the connections that a sandbox makes to a worker: non-blocking sockets, each
// step with a deadline.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace rundlet::rootfs::worker {

using Clock = std::chrono::steady_clock;

// False when the time is over.
bool WaitUntil(int fd, short events, Clock::time_point deadline);
// Appends one read; false at the end of the stream and when the time is over.
bool ReadMore(int fd, std::string& bytes, size_t limit, Clock::time_point deadline);
bool WriteAll(int fd, std::string_view bytes, Clock::time_point deadline);

}  // namespace rundlet::rootfs::worker
