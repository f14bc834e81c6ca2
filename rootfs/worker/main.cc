// rundlet-worker COMMAND: reads a JSON request from standard input, prints progress and an answer
// (worker_client.h).
#include <unistd.h>

#include <array>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/fs.h"
#include "base/process.h"
#include "rootfs/worker/command.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kRequestLimit = size_t{64} << 20;
constexpr int64_t kProgressInterval = 50'000'000;  // nanoseconds

constexpr std::array kCommands = {
    Command{"unpack-layer", UnpackLayer},
    Command{"split-archive", SplitArchive},
    Command{"read-image", ReadImage},
    Command{"hash-tree", HashTree},
    Command{"install-wheel", InstallWheel},
    Command{"fetch", Fetch},
    Command{"find-in-index", FindInIndex},
    Command{"parse-toml", ParseToml},
    Command{"proxy", Proxy},
    Command{"index-gate", IndexGate},
    Command{"registry-get", RegistryGet},
    Command{"list-libraries", ListLibraries},
};

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

int Main(std::string_view name) {
  try {
    for (const Command& command : kCommands) {
      if (command.name != name) continue;
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

}  // namespace rundlet::rootfs::worker

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: rundlet-worker COMMAND (started by rundlet, not by hand)\n", stderr);
    return 2;
  }
  return rundlet::rootfs::worker::Main(argv[1]);
}
