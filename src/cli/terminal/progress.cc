#include "cli/terminal/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "cli/terminal/output.h"

namespace rundlet::cli {
namespace {

using engine::Event;
using engine::EventKind;
using std::chrono::steady_clock;

constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr size_t kMaxActiveLines = 12;

enum class Colour { kGreen, kRed, kDim };

std::string Paint(bool colours, Colour colour, const std::string& text) {
  if (!colours) return text;
  switch (colour) {
    case Colour::kGreen:
      return "\033[32m" + text + "\033[0m";
    case Colour::kRed:
      return "\033[31m" + text + "\033[0m";
    case Colour::kDim:
      return "\033[2m" + text + "\033[0m";
  }
  return text;
}

std::string Amount(const Event& event) {
  if (event.total != 0 && event.done != event.total) {
    return fmt::format("{} of {}", base::HumanBytes(event.done), base::HumanBytes(event.total));
  }
  return event.done != 0 ? base::HumanBytes(event.done) : std::string();
}

// "1.2 s, 336,776 rows, peak 120 MiB".
std::string Facts(const Event& event) {
  std::vector<std::string> facts;
  if (event.duration.count() != 0) facts.push_back(base::HumanDuration(event.duration));
  if (const std::string amount = Amount(event); !amount.empty()) facts.push_back(amount);
  if (event.rows.has_value()) facts.push_back(fmt::format("{} rows", base::Grouped(*event.rows)));
  if (event.cpu_time.count() != 0) facts.push_back("cpu " + base::HumanDuration(event.cpu_time));
  if (event.peak_memory != 0) facts.push_back("peak " + base::HumanBytes(event.peak_memory));
  if (event.kind == EventKind::kFinished && !event.text.empty())
    facts.push_back(base::Printable(event.text));
  return base::Join(facts, ", ");
}

std::string FirstLine(const std::string& text) {
  const std::string line = base::Split(base::Printable(text), '\n').front();
  constexpr std::string_view kPrefix = "error: ";
  return line.starts_with(kPrefix) ? line.substr(kPrefix.size()) : line;
}

// What happened, in one line; empty for what is not worth one.
std::string LineFor(const Event& event, bool colours, bool verbose) {
  const std::string task = base::Printable(event.task);
  const std::string label = event.phase == "resolve" ? "resolve for " + task
                            : event.phase == "probe" ? "look for " + task
                                                     : task;
  switch (event.kind) {
    case EventKind::kFinished:
      return fmt::format("{} {}  {}", Paint(colours, Colour::kGreen, "done"), label,
                         Paint(colours, Colour::kDim, Facts(event)));
    case EventKind::kFailed:
      // The error of what comes before the steps, or is no step, ends the command, and is told
      // there.
      for (const char* early : {"resolve", "probe", "read", "fetch", "install", "export"}) {
        if (event.phase == early) return {};
      }
      return fmt::format("{} {}: {}", Paint(colours, Colour::kRed, "failed"), label,
                         FirstLine(event.text));
    case EventKind::kSkipped:
      return fmt::format("{} {}: {}", Paint(colours, Colour::kDim, "skipped"), label,
                         FirstLine(event.text));
    case EventKind::kCached:
      return verbose ? fmt::format("{} {}: {}", Paint(colours, Colour::kDim, "kept"), label,
                                   base::Indented(event.text))
                     : std::string();
    case EventKind::kLog:
      return fmt::format("{} | {}", task, base::Printable(event.text));
    case EventKind::kNote:
      return fmt::format("note: {}: {}", task, base::Indented(event.text));
    case EventKind::kStarted:
    case EventKind::kProgress:
      return {};
  }
  return {};
}

size_t TerminalColumns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

class Progress::View {
 public:
  explicit View(const Options& options)
      : quiet_(options.quiet),
        verbose_(options.verbose),
        terminal_(isatty(STDERR_FILENO) != 0),
        colours_(terminal_ && std::getenv("NO_COLOR") == nullptr) {}

  ~View() {
    if (ticker_.joinable()) {
      ticker_.request_stop();
      wake_.notify_all();
      ticker_.join();
    }
    Erase();
  }

  void Take(const Event& event) {
    if (quiet_) return;
    const std::lock_guard lock(mutex_);
    Erase();
    const std::string line = LineFor(event, colours_, verbose_);
    if (!line.empty()) Say("{}\n", line);
    if (terminal_) {
      Track(event);
      Draw();
      if (!active_.empty() && !ticker_.joinable())
        ticker_ = std::jthread([this](const std::stop_token& stop) { Tick(stop); });
    }
  }

 private:
  struct Active {
    std::string task;
    std::string phase;
    Event latest;
    steady_clock::time_point since;
  };

  void Track(const Event& event) {
    const auto same = [&event](const Active& active) {
      return active.task == event.task && active.phase == event.phase;
    };
    const auto found = std::find_if(active_.begin(), active_.end(), same);
    const bool running = event.kind == EventKind::kStarted || event.kind == EventKind::kProgress;
    if (running && found == active_.end()) {
      active_.push_back({event.task, event.phase, event, steady_clock::now()});
    } else if (running) {
      found->latest = event;
    } else if (found != active_.end() && event.kind != EventKind::kLog &&
               event.kind != EventKind::kNote) {
      active_.erase(found);
    }
  }

  void Draw() {
    const size_t width = TerminalColumns() - 1;
    drawn_ = 0;
    for (const Active& active : active_) {
      if (drawn_ == kMaxActiveLines) break;
      const std::string time = base::HumanDuration(steady_clock::now() - active.since);
      std::string line =
          fmt::format("  .. {}{}  {} {}", active.phase == "resolve" ? "resolve for " : "",
                      base::Printable(active.task), time, Amount(active.latest));
      Say("{}\n", line.substr(0, width));
      ++drawn_;
    }
    std::fflush(stderr);
  }

  void Erase() {
    if (drawn_ == 0) return;
    Say("\033[{}A\033[J", drawn_);
    drawn_ = 0;
  }

  void Tick(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      wake_.wait_for(lock, kRedraw);
      Erase();
      if (!stop.stop_requested()) Draw();
    }
  }

  const bool quiet_;
  const bool verbose_;
  const bool terminal_;
  const bool colours_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Active> active_;
  size_t drawn_ = 0;
  std::jthread ticker_;
};

Progress::Progress(const Options& options) : view_(std::make_unique<View>(options)) {}
Progress::~Progress() = default;

engine::EventSink Progress::Sink() {
  return [view = view_.get()](const Event& event) { view->Take(event); };
}

}  // namespace rundlet::cli
