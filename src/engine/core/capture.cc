#include "engine/core/capture.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/error.h"
#include "base/fs.h"
#include "base/process.h"

namespace rundlet::engine {
namespace {

using base::UniqueFd;

constexpr int64_t kMaxWait = 3'600'000;  // milliseconds

class LineReader {
 public:
  LineReader(UniqueFd fd, const LineCallback& sink, size_t limit)
      : fd_(std::move(fd)), sink_(sink), limit_(limit) {}

  bool open() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }

  // One read; closes at the end of the stream.
  void Read() {
    char buffer[1 << 14];
    const ssize_t count = read(fd_.get(), buffer, sizeof buffer);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (count <= 0) {
      if (!pending_.empty()) Give(std::exchange(pending_, {}));
      fd_.reset();
      return;
    }
    // What came before has no end of a line: a long one is not searched again for each piece of it.
    size_t from = pending_.size();
    pending_.append(buffer, static_cast<size_t>(count));
    size_t begin = 0;
    for (size_t end; (end = pending_.find('\n', from)) != std::string::npos;
         from = begin = end + 1) {
      Give(std::string_view(pending_).substr(begin, end - begin));
    }
    pending_.erase(0, begin);
    if (pending_.size() > limit_) Give(std::exchange(pending_, {}));
  }

 private:
  void Give(std::string_view line) const {
    if (sink_) sink_(line);
  }

  UniqueFd fd_;
  const LineCallback& sink_;
  size_t limit_;
  std::string pending_;
};

}  // namespace

CapturedOutcome RunCaptured(runtime::Launcher& launcher, runtime::SandboxRequest request,
                            const OutputSinks& sinks, const base::CancelToken* cancel) {
  base::Pipe output = base::MakePipe();
  base::Pipe errors = base::MakePipe();
  request.standard_output = output.write.get();
  request.standard_error = errors.write.get();
  runtime::Sandbox sandbox = launcher.Start(request);
  output.write.reset();
  errors.write.reset();
  if (sinks.started) sinks.started(sandbox);
  LineReader out(std::move(output.read), sinks.standard_output, sinks.line_limit);
  LineReader err(std::move(errors.read), sinks.standard_error, sinks.line_limit);
  const int64_t deadline =
      sinks.timeout.has_value()
          ? base::MonotonicNanoseconds() + static_cast<int64_t>(*sinks.timeout * 1e9)
          : std::numeric_limits<int64_t>::max();
  bool ended = false;
  // Not only its streams: a program may close them and go on.
  while (out.open() || err.open() || !ended) {
    const int64_t left = deadline - base::MonotonicNanoseconds();
    if (left <= 0 && !ended) return {sandbox.Stop(), true};
    const int wait = sinks.timeout.has_value()
                         ? static_cast<int>(std::min<int64_t>(left / 1'000'000 + 1, kMaxWait))
                         : -1;
    pollfd polled[4] = {{out.open() ? out.fd() : -1, POLLIN, 0},
                        {err.open() ? err.fd() : -1, POLLIN, 0},
                        {cancel != nullptr ? cancel->fd() : -1, POLLIN, 0},
                        {ended ? -1 : sandbox.pidfd(), POLLIN, 0}};
    if (poll(polled, 4, wait) < 0 && errno != EINTR)
      base::ThrowErrno("waiting for a sandbox's output");
    if (polled[2].revents != 0) break;
    if (polled[0].revents != 0) out.Read();
    if (polled[1].revents != 0) err.Read();
    ended = ended || polled[3].revents != 0;
  }
  return {sandbox.Wait(cancel), false};
}

void Tail::AddLine(std::string_view line) {
  text_ += line;
  text_ += '\n';
  if (text_.size() <= limit_) return;
  const size_t cut = text_.find('\n', text_.size() - limit_);
  text_.erase(0, cut == std::string::npos ? text_.size() - limit_ : cut + 1);
}

}  // namespace rundlet::engine
