// bench-launch: how long it takes to start a program in a sandbox and to see its end.
//
//   bench-launch [--rounds N] [--packages N] [--threads N] [--only NAME] [--json]
//
// All contenders take turns within one run, so that the machine's load and clock hit them alike;
// ratios between rows of one run are what counts. `--threads` measures how many starts a second one
// launcher gives to that many threads.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/process.h"
#include "contenders.h"

namespace rundlet::bench {
namespace {

constexpr size_t kRundlet = 1;  // its place among the contenders

struct Options {
  int rounds = 500;
  int threads = 2;
  bool json = false;
  std::string only;
  Setting setting;
};

struct Row {
  std::string name;
  std::vector<int64_t> nanoseconds;
  std::map<std::string, std::vector<int64_t>> stages;  // by name: from the stage before to it
  std::vector<std::string> stage_order;
};

double Milliseconds(std::vector<int64_t> values, double quantile) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto index = static_cast<size_t>(quantile * static_cast<double>(values.size() - 1));
  return static_cast<double>(values[index]) / 1e6;
}

double PerSecond(const std::vector<int64_t>& values) {
  int64_t sum = 0;
  for (const int64_t value : values) sum += value;
  return sum == 0 ? 0 : 1e9 * static_cast<double>(values.size()) / static_cast<double>(sum);
}

void AddStages(Row& row, const runtime::StageTimes& times, int64_t started, int64_t ended) {
  int64_t last = started;
  const auto add = [&row, &last](const std::string& name, int64_t at) {
    if (!row.stages.contains(name)) row.stage_order.push_back(name);
    row.stages[name].push_back(at - last);
    last = at;
  };
  for (size_t stage = 0; stage < times.size(); ++stage) {
    if (times[stage] != 0) add(runtime::NameOf(static_cast<runtime::Stage>(stage)), times[stage]);
  }
  add("taking it down", ended);
}

void Measure(Contender& contender, Row& row) {
  const int64_t started = base::MonotonicNanoseconds();
  const std::optional<runtime::StageTimes> times = contender.RunOnce();
  const int64_t ended = base::MonotonicNanoseconds();
  row.nanoseconds.push_back(ended - started);
  if (times.has_value()) AddStages(row, *times, started, ended);
}

std::vector<Row> MeasureAll(const Options& options,
                            const std::vector<std::unique_ptr<Contender>>& contenders) {
  std::vector<Row> rows;
  for (const auto& contender : contenders) rows.push_back({contender->name(), {}, {}, {}});
  for (int round = -3; round < options.rounds; ++round) {  // the first ones warm up
    for (size_t i = 0; i < contenders.size(); ++i) {
      if (!options.only.empty() && rows[i].name != options.only) continue;
      // The slow one takes every tenth turn.
      if (rows[i].name == "runc" && round % 10 != 0) continue;
      Row warming;
      Measure(*contenders[i], round < 0 ? warming : rows[i]);
    }
  }
  return rows;
}

// Starts a second by several threads together, through one launcher.
double Throughput(const Options& options, Contender& rundlet) {
  const int all = options.rounds * 2;
  std::atomic<int> left = all;
  std::vector<std::thread> threads;
  const int64_t started = base::MonotonicNanoseconds();
  for (int i = 0; i < options.threads; ++i) {
    threads.emplace_back([&left, &rundlet] {
      while (left.fetch_sub(1) > 0) rundlet.RunOnce();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return 1e9 * all / static_cast<double>(base::MonotonicNanoseconds() - started);
}

void PrintTable(const std::vector<Row>& rows, const Options& options, double throughput) {
  std::printf("%-12s %9s %9s %9s %10s\n", "", "p50 ms", "p99 ms", "starts/s", "of rundlet");
  const Row& rundlet = rows[kRundlet];
  const double reference = Milliseconds(rundlet.nanoseconds, 0.5);
  for (const Row& row : rows) {
    if (row.nanoseconds.empty()) continue;
    const double median = Milliseconds(row.nanoseconds, 0.5);
    std::printf("%-12s %9.3f %9.3f %9.0f %10.2f\n", row.name.c_str(), median,
                Milliseconds(row.nanoseconds, 0.99), PerSecond(row.nanoseconds),
                reference > 0 ? median / reference : 0);
  }
  std::printf("\nrundlet, %d threads: %.0f starts/s\n\nrundlet by stage, p50:\n", options.threads,
              throughput);
  for (const std::string& stage : rundlet.stage_order) {
    std::printf("  %-40s %7.3f ms\n", stage.c_str(), Milliseconds(rundlet.stages.at(stage), 0.5));
  }
}

void PrintJson(const std::vector<Row>& rows, const Options& options, double throughput) {
  nlohmann::ordered_json document = {{"rounds", options.rounds},
                                     {"packages", options.setting.packages},
                                     {"threads", options.threads},
                                     {"starts_per_second", throughput}};
  for (const Row& row : rows) {
    if (row.nanoseconds.empty()) continue;
    nlohmann::ordered_json& entry = document["contenders"][row.name];
    entry = {{"p50_ms", Milliseconds(row.nanoseconds, 0.5)},
             {"p99_ms", Milliseconds(row.nanoseconds, 0.99)},
             {"starts_per_second", PerSecond(row.nanoseconds)},
             {"runs", row.nanoseconds.size()}};
    for (const std::string& stage : row.stage_order) {
      entry["stages_p50_ms"][stage] = Milliseconds(row.stages.at(stage), 0.5);
    }
  }
  std::printf("%s\n", document.dump(2).c_str());
}

int Usage() {
  std::fputs(
      "usage: bench-launch [--rounds N] [--packages N] [--threads N] [--only NAME] [--json]\n",
      stderr);
  return 2;
}

bool Parse(char** arguments, Options& options) {
  for (; *arguments != nullptr; ++arguments) {
    const std::string argument = *arguments;
    if (argument == "--json") {
      options.json = true;
      continue;
    }
    if (arguments[1] == nullptr) return false;
    const char* value = *++arguments;
    if (argument == "--rounds") {
      options.rounds = std::atoi(value);
    } else if (argument == "--packages") {
      options.setting.packages = std::atoi(value);
    } else if (argument == "--threads") {
      options.threads = std::atoi(value);
    } else if (argument == "--only") {
      options.only = value;
    } else {
      return false;
    }
  }
  return options.rounds > 0 && options.setting.packages > 0 && options.threads > 0;
}

// Removed at the end, also when a contender fails.
struct StateDirectory {
  explicit StateDirectory(std::string& path) : path_(path) {
    path_ = "/var/tmp/rundlet-bench-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) base::ThrowErrno("creating `{}`", path_);
  }
  ~StateDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;
  std::string& path_;
};

int Main(char** arguments) {
  Options options;
  if (!Parse(arguments + 1, options)) return Usage();
  try {
    // Beside this program in the build directory.
    const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    options.setting.launcher = here / "../../runtime/rundlet-launcher";
    options.setting.program = here / "bench-true";
    const StateDirectory state(options.setting.state);
    PrepareState(options.setting);
    const std::vector<std::unique_ptr<Contender>> contenders = AllContenders(options.setting);
    const std::vector<Row> rows = MeasureAll(options, contenders);
    const double throughput = Throughput(options, *contenders[kRundlet]);
    options.json ? PrintJson(rows, options, throughput) : PrintTable(rows, options, throughput);
    return 0;
  } catch (const base::Error& error) {
    std::fputs(error.Render().c_str(), stderr);
    return error.fault() == base::Fault::kBug ? 5 : 3;
  }
}

}  // namespace
}  // namespace rundlet::bench

int main(int, char** arguments) { return rundlet::bench::Main(arguments); }
