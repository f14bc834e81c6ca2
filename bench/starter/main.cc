// bench-starter: one long-lived parent that starts what it is told to, and says how long that took.
// bench/launch drives it.
//
//   bench-starter            a line of JSON on standard input for each turn, one on its output
//   bench-starter --profile  rundlet's system-call filter for OCI runtimes
//
// {"start": DESCRIPTION (starts.h), "threads": N, "starts": M}: each of N threads starts it M
// times, one after the other. The answer: {"nanoseconds": [of each start], "together": nanoseconds
// of all, "stages": {NAME: [nanoseconds]}}, or {"error": TEXT}. RUNDLET_STATE and RUNDLET_INDEX are
// as for rundlet.
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/process.h"
#include "engine/core/config.h"
#include "profile.h"
#include "starts.h"

namespace rundlet::bench {
namespace {

using nlohmann::ordered_json;

struct Turn {
  unsigned threads = 1;
  unsigned starts = 1;
};

// What passed from each stage to the next, by name.
void AddStages(ordered_json& stages, const Times& times) {
  int64_t last = times.started;
  const auto add = [&](const char* name, int64_t at) {
    stages[name].push_back(at - last);
    last = at;
  };
  for (size_t stage = 0; stage < times.stages->size(); ++stage) {
    const int64_t at = (*times.stages)[stage];
    if (at != 0) add(runtime::NameOf(static_cast<runtime::Stage>(stage)), at);
  }
  add("running the program", times.program_ended);
  add("taking it down", times.ended);
}

ordered_json Take(Start& start, const Turn& turn) {
  std::vector<std::vector<Times>> taken(turn.threads);
  std::vector<std::exception_ptr> failures(turn.threads);
  std::vector<std::thread> threads;
  const int64_t begun = base::MonotonicNanoseconds();
  for (unsigned i = 0; i < turn.threads; ++i) {
    threads.emplace_back([&, i] {
      try {
        for (unsigned n = 0; n < turn.starts; ++n) taken[i].push_back(start.Once());
      } catch (...) {
        failures[i] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const int64_t together = base::MonotonicNanoseconds() - begun;
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  ordered_json answer = {{"nanoseconds", ordered_json::array()},
                         {"together", together},
                         {"stages", ordered_json::object()}};
  for (const std::vector<Times>& of_thread : taken) {
    for (const Times& times : of_thread) {
      answer["nanoseconds"].push_back(times.ended - times.started);
      if (times.stages.has_value()) AddStages(answer["stages"], times);
    }
  }
  return answer;
}

void Serve() {
  engine::Engine engine(engine::ConfigFromEnvironment());
  std::map<std::string, std::unique_ptr<Start>> starts;  // by description
  std::string line;
  while (std::getline(std::cin, line)) {
    const nlohmann::json request = nlohmann::json::parse(line);
    const Turn turn{.threads = request.at("threads"), .starts = request.at("starts")};
    ordered_json answer;
    try {
      std::unique_ptr<Start>& start = starts[request.at("start").dump()];
      if (start == nullptr) start = MakeStart(engine, request.at("start"));
      answer = Take(*start, turn);
    } catch (const base::Error& error) {
      answer = {{"error", error.Render()}};
    }
    std::cout << answer.dump() << std::endl;
  }
}

int Main(const std::vector<std::string>& arguments) {
  try {
    if (arguments == std::vector<std::string>{"--profile"}) {
      std::cout << FilterAsProfile().dump(2) << std::endl;
    } else if (arguments.empty()) {
      Serve();
    } else {
      std::fputs("usage: bench-starter [--profile]\n", stderr);
      return 2;
    }
    return 0;
  } catch (const base::Error& error) {
    std::fputs(error.Render().c_str(), stderr);
    return 3;
  }
}

}  // namespace
}  // namespace rundlet::bench

int main(int argc, char** argv) { return rundlet::bench::Main({argv + 1, argv + argc}); }
