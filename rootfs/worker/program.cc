#include "rootfs/worker/program.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fs.h"
#include "base/process.h"
#include "base/text.h"
#include "base/walls.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kRequestLimit = size_t{64} << 20;
// More than any input within its limits takes that is no bomb. Of its own: not every host has
// control groups for it.
constexpr rlim_t kMemory = rlim_t{1} << 30;
// Between being told that the time is over and being killed, for who does not listen.
constexpr rlim_t kToEnd = 5;                       // seconds of processor time
constexpr int64_t kProgressInterval = 50'000'000;  // nanoseconds

void PrintLine(const nlohmann::json& document) {
  // Hostile names may hold bytes that are no UTF-8; they are replaced, never fatal.
  const std::string line =
      document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  base::WriteFd(STDOUT_FILENO, line, "the worker's answer");
}

nlohmann::json AsJson(const base::Error& error) {
  return {{"error",
           {{"fault", static_cast<int>(error.fault())},
            {"chain", error.chain()},
            {"hint", error.hint()}}}};
}

// The lines that say so.
std::string out_of_memory;
std::string out_of_time;

std::string TooMuch(std::string_view name, std::string what) {
  // On a line of its own, whatever was being written.
  return "\n" +
         AsJson(base::Error(base::Fault::kInvalid, fmt::format("worker command `{}`", name))
                    .Because(fmt::format("it took more than {}", what)))
             .dump() +
         "\n";
}

[[noreturn]] void EndWith(const std::string& line) {
  [[maybe_unused]] const ssize_t written = write(STDOUT_FILENO, line.data(), line.size());
  _exit(1);
}

// Not by std::bad_alloc: what is destroyed on the way may allocate itself.
void LimitMemory(std::string_view name) {
  out_of_memory = TooMuch(name, fmt::format("{} of memory", base::HumanBytes(kMemory)));
  std::set_new_handler([] { EndWith(out_of_memory); });
#ifndef __SANITIZE_ADDRESS__  // whose own memory is larger
  const rlimit limit = {kMemory, kMemory};
  if (base::Holds(base::Wall::kWorkerMemory) && setrlimit(RLIMIT_DATA, &limit) < 0)
    base::ThrowErrno("limiting the worker's memory");
#endif
}

// What loops on its input ends, in set time.
void LimitTime(const Command& command) {
  if (command.time.count() == 0 || !base::Holds(base::Wall::kWorkerTime)) return;
  const auto seconds = static_cast<rlim_t>(command.time.count());
  out_of_time = TooMuch(command.name, fmt::format("{} s of processor time", seconds));
  std::signal(SIGXCPU, [](int) { EndWith(out_of_time); });
  const rlimit limit = {seconds, seconds + kToEnd};
  if (setrlimit(RLIMIT_CPU, &limit) < 0) base::ThrowErrno("limiting the worker's time");
}

int Run(std::string_view name, std::span<const Command> commands) {
  try {
    LimitMemory(name);
    for (const Command& command : commands) {
      if (command.name != name) continue;
      LimitTime(command);
      const auto request =
          nlohmann::json::parse(base::ReadFd(STDIN_FILENO, kRequestLimit, "the worker's request"));
      PrintLine({{"answer", command.run(request)}});
      return 0;
    }
    throw base::Error(base::Fault::kBug, fmt::format("starting worker command `{}`", name))
        .Because("there is no such command");
  } catch (const base::Error& error) {
    PrintLine(AsJson(error));
  } catch (const std::exception& error) {
    PrintLine(AsJson(base::Error(base::Fault::kBug, fmt::format("worker command `{}`", name))
                         .Because(error.what())));
  }
  return 1;
}

}  // namespace

void ReportProgress(uint64_t item, uint64_t done, uint64_t total) {
  static uint64_t last_item = UINT64_MAX;
  static int64_t last_time = 0;
  const int64_t now = base::MonotonicNanoseconds();
  if (item == last_item && done != total && now - last_time < kProgressInterval) return;
  last_item = item;
  last_time = now;
  PrintLine({{"progress", {{"item", item}, {"done", done}, {"total", total}}}});
}

int RunCommand(int argc, char** argv, std::span<const Command> commands) {
  if (argc != 2) {
    std::fputs("usage: a program of rundlet's, started by it, not by hand\n", stderr);
    return 2;
  }
  return Run(argv[1], commands);
}

}  // namespace rundlet::rootfs::worker
