// What limits do to a sandbox that goes beyond them, and what is counted. Whichever control groups
// this host has are used.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/fs.h"
#include "base/text.h"
#include "runtime/cgroup/engine_groups.h"
#include "sandbox_test.h"

namespace rundlet::runtime {
namespace {

using base::UniqueFd;
using std::chrono::milliseconds;

constexpr uint64_t kMiB = 1 << 20;

class LimitsTest : public SandboxTest {
 protected:
  static void ExpectKilledForMemory(const Finished& finished, uint64_t limit) {
    EXPECT_EQ(finished.outcome.end, Outcome::End::kSignalled);
    EXPECT_EQ(finished.outcome.code, SIGKILL);
    EXPECT_GE(finished.outcome.memory_kills, 1u);
    EXPECT_LE(finished.outcome.peak_memory, limit);
    EXPECT_GE(finished.outcome.peak_memory, limit / 2);
  }
};

TEST_F(LimitsTest, MemoryBeyondTheLimitKills) {
  SandboxSpec spec = Spec({"eat", std::to_string(256 * kMiB)});
  spec.limits.memory = 64 * kMiB;
  const Finished finished = Run(spec);
  EXPECT_EQ(finished.output, "");
  ExpectKilledForMemory(finished, 64 * kMiB);

  spec.limits.memory = 512 * kMiB;
  const Finished enough = Run(spec);
  EXPECT_EQ(enough.output, "ate\n");
  EXPECT_EQ(enough.outcome.memory_kills, 0u);
}

TEST_F(LimitsTest, WhenAPartIsKilledForMemoryAllOfItGoes) {
  SandboxSpec spec = Spec({"eat-aside", std::to_string(256 * kMiB)});
  spec.limits.memory = 64 * kMiB;
  ExpectKilledForMemory(Run(spec), 64 * kMiB);
}

TEST_F(LimitsTest, TheLeastMemoryStartsAProgram) {
  SandboxSpec spec = Spec({"exit", "3"});
  spec.limits.memory = 4 * kMiB;
  EXPECT_EQ(Run(spec).outcome.code, 3);
}

TEST_F(LimitsTest, ScratchCountsAsMemory) {
  for (const char* path : {"/tmp/file", "/dev/shm/file", "/file"}) {
    SandboxSpec spec = Spec({"fill", path});
    spec.uid = spec.gid = 0;
    spec.scratch_bytes = 256 * kMiB;
    spec.limits.memory = 32 * kMiB;
    ExpectKilledForMemory(Run(spec), 32 * kMiB);
  }
}

TEST_F(LimitsTest, OthersLiveOn) {
  SandboxSpec sibling = Spec({"obedient"});
  sibling.limits.memory = 32 * kMiB;
  Running running = StartUntil(sibling, "ready");
  SandboxSpec spec = Spec({"eat", std::to_string(256 * kMiB)});
  spec.limits.memory = 32 * kMiB;
  ExpectKilledForMemory(Run(spec), 32 * kMiB);
  running.sandbox->Signal(SIGTERM);
  const Outcome outcome = running.sandbox->Wait(nullptr);
  EXPECT_EQ(outcome.code, 42);
  EXPECT_EQ(outcome.memory_kills, 0u);
}

TEST_F(LimitsTest, ProcessesAreCounted) {
  SandboxSpec spec = Spec({"multiply", "50"});
  spec.limits.pids = 10;
  Finished finished = Run(spec);
  FactMap facts = finished.facts();
  EXPECT_EQ(facts["made"], "9") << "and the program itself";
  EXPECT_EQ(facts["last"], "EAGAIN");
  EXPECT_GE(finished.outcome.forks_refused, 1u);

  finished = Run(Spec({"multiply", "50"}));
  EXPECT_EQ(finished.facts()["made"], "50");
  EXPECT_EQ(finished.outcome.forks_refused, 0u);
}

TEST_F(LimitsTest, ThereIsAlwaysALimitOfProcesses) {
  const Finished finished = Run(Spec({"multiply", "100000"}));
  EXPECT_EQ(finished.facts()["made"], std::to_string(kDefaultPids - 1));
  EXPECT_GE(finished.outcome.forks_refused, 1u);
  EXPECT_EQ(ProcessesOf(ids_), std::vector<pid_t>{});
}

TEST_F(LimitsTest, ProcessorTimeIsBounded) {
  SandboxSpec spec = Spec({"burn", "0.2"});
  spec.limits.cpus = 200;
  const Finished finished = Run(spec);
  // 20 ms in each 100 ms: about 0.9 s. Twice the time is proof enough where clocks are coarse.
  EXPECT_GE(std::stod(finished.facts()["took"]), 0.4);
  EXPECT_GE(finished.outcome.user_time + finished.outcome.system_time, milliseconds(100));
}

TEST_F(LimitsTest, WhatAllProcessesTakeTogetherIsCounted) {
  const Finished finished = Run(Spec({"eat-together", "4", std::to_string(16 * kMiB)}));
  EXPECT_EQ(finished.output, "ate\n");
  EXPECT_GE(finished.outcome.peak_memory, 64 * kMiB);
  EXPECT_LE(finished.outcome.peak_memory, 96 * kMiB);
  // Nobody waited for the children: rusage has nothing of them.
  EXPECT_GT(finished.outcome.system_time.count(), 0);
}

TEST_F(LimitsTest, DescriptorsRunOut) {
  FactMap facts = Run(Spec({"open-many"})).facts();
  EXPECT_EQ(facts["made"], "1021");
  EXPECT_EQ(facts["last"], "EMFILE");
}

TEST_F(LimitsTest, AGroupIsItsSandboxesOwnRoot) {
  const Finished finished = Run(Spec({"read", "/proc/self/cgroup"}));
  for (const std::string& line : base::Split(base::Trim(finished.output), '\n')) {
    EXPECT_TRUE(line.find("rundlet") == line.npos) << line;
  }
}

// Names of the groups in a directory.
std::vector<std::string> GroupsIn(int parent) {
  std::vector<std::string> names;
  for (const base::DirEntry& entry : base::ListDir(parent)) {
    if (entry.type == DT_DIR) names.push_back(entry.name);
  }
  return names;
}

TEST(EngineGroupsTest, EachSandboxHasItsOwnAndLeavesNone) {
  EngineGroups groups(HierarchiesOfThisProcess());
  ASSERT_TRUE(groups.Has(Controller::kMemory)) << groups.WhyNot(Controller::kMemory);
  ASSERT_TRUE(groups.Has(Controller::kPids)) << groups.WhyNot(Controller::kPids);
  ASSERT_TRUE(groups.Has(Controller::kCpu)) << groups.WhyNot(Controller::kCpu);
  for (const GroupDirectory& directory : groups.directories()) {
    EXPECT_EQ(GroupsIn(directory.dir.get()), std::vector<std::string>{});
  }
}

// A process that has made its groups, and was killed.
std::vector<std::pair<std::string, std::string>> GroupsOfAKilledEngine() {
  base::Pipe pipe = base::MakePipe();
  const pid_t pid = fork();
  if (pid == 0) {
    const EngineGroups groups(HierarchiesOfThisProcess());
    for (const GroupDirectory& directory : groups.directories()) {
      mkdirat(directory.dir.get(), "7", 0755);
      base::WriteFd(pipe.write.get(), directory.place + "\n" + directory.name + "\n", "names");
    }
    kill(getpid(), SIGKILL);
  }
  pipe.write.reset();
  const std::string text = base::ReadFd(pipe.read.get(), 1 << 16, "names");
  EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
  const std::vector<std::string> lines = base::Split(base::Trim(text), '\n');
  std::vector<std::pair<std::string, std::string>> made;
  for (size_t i = 0; i + 1 < lines.size(); i += 2) made.emplace_back(lines[i], lines[i + 1]);
  return made;
}

bool IsThere(const std::string& place, const std::string& name) {
  const UniqueFd parent = base::OpenHostPath(place, O_RDONLY | O_DIRECTORY);
  return base::ExistsAt(parent.get(), name);
}

TEST(EngineGroupsTest, TheNextEngineSweepsWhatAKilledOneLeft) {
  const EngineGroups living(HierarchiesOfThisProcess());
  const auto left = GroupsOfAKilledEngine();
  ASSERT_FALSE(left.empty());
  for (const auto& [place, name] : left) EXPECT_TRUE(IsThere(place, name)) << place;
  const EngineGroups next(HierarchiesOfThisProcess());
  for (const auto& [place, name] : left) EXPECT_FALSE(IsThere(place, name)) << place;
  for (const GroupDirectory& directory : living.directories())
    EXPECT_TRUE(IsThere(directory.place, directory.name)) << "its engine lives";
}

TEST_F(LimitsTest, NothingIsLeftOfTheGroups) {
  std::vector<std::pair<std::string, std::string>> before;
  for (const Hierarchy& hierarchy : HierarchiesOfThisProcess()) {
    const std::string place = hierarchy.mount_point + hierarchy.own;
    const UniqueFd parent = base::OpenHostPath(place, O_RDONLY | O_DIRECTORY);
    for (const std::string& name : GroupsIn(parent.get())) before.emplace_back(place, name);
  }
  Running running = StartUntil(Spec({"obedient"}), "ready");
  Run(Spec({"exit", "0"}));
  running.sandbox.reset();
  launcher_.reset();
  for (const Hierarchy& hierarchy : HierarchiesOfThisProcess()) {
    const std::string place = hierarchy.mount_point + hierarchy.own;
    const UniqueFd parent = base::OpenHostPath(place, O_RDONLY | O_DIRECTORY);
    for (const std::string& name : GroupsIn(parent.get())) {
      if (std::find(before.begin(), before.end(), std::pair(place, name)) != before.end()) continue;
      // Of an engine that runs beside this test.
      const UniqueFd group = base::OpenAt(parent.get(), name, O_RDONLY | O_DIRECTORY);
      EXPECT_EQ(flock(group.get(), LOCK_EX | LOCK_NB), -1) << place << "/" << name;
    }
  }
}

}  // namespace
}  // namespace rundlet::runtime
