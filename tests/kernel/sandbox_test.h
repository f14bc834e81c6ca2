// The fixture of kernel tests: a state directory, a launcher, real sandboxes, and the proof at the
// end of each test that nothing of them is left.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/launcher.h"
#include "state_directory.h"

namespace rundlet::runtime {

// What this process holds of the kernel.
struct Holdings {
  std::vector<std::string> mounts;       // lines of mountinfo
  std::vector<std::string> descriptors;  // what they are
  bool operator==(const Holdings&) const = default;
};

// "key=value" lines.
using FactMap = std::map<std::string, std::string>;
FactMap ParseFacts(const std::string& text);

class SandboxTest : public ::testing::Test {
 protected:
  struct Finished {
    Outcome outcome;
    std::string output;
    std::string error;
    FactMap facts() const { return ParseFacts(output); }
  };
  struct Extras {
    std::vector<int> files = {};
    std::vector<int> mounts = {};
    int program = -1;
    int input = -1;  // -1: /dev/null
  };
  // A sandbox that has said what the test waited for.
  struct Running {
    std::optional<Sandbox> sandbox;
    base::UniqueFd output;
  };

  void SetUp() override;
  void TearDown() override;

  // Image under skeleton, writable; /proc (full), /dev, /tmp; the probe with these arguments.
  SandboxSpec Spec(std::vector<std::string> arguments) const;
  Finished Run(const SandboxSpec& spec, const Extras& extras);
  Finished Run(const SandboxSpec& spec) { return Run(spec, Extras{}); }
  // Starts it and waits until it has printed `line`.
  Running StartUntil(const SandboxSpec& spec, const std::string& line);
  // The error that Start throws, or one that says that it threw none.
  std::unique_ptr<base::Error> StartFailure(const SandboxSpec& spec, const Extras& extras);
  std::unique_ptr<base::Error> StartFailure(const SandboxSpec& spec) {
    return StartFailure(spec, Extras{});
  }
  pid_t LauncherProcess() const;

  static Holdings Held();
  // Processes of the host with an id of `ids`.
  static std::vector<pid_t> ProcessesOf(const IdRange& ids);

  IdRange ids_;  // of this test process alone
  std::unique_ptr<StateDirectory> state_;
  std::unique_ptr<Launcher> launcher_;

 private:
  Holdings before_;
};

// Runs `body` in a forked process; what it throws or fails is this test's failure.
void InChild(const std::function<void()>& body);

// Waits until the process behind the pidfd has ended (without reaping it).
void AwaitEnd(int pidfd);

}  // namespace rundlet::runtime
