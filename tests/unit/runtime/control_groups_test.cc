// Control groups without a kernel's: texts, and directories that look like them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/error.h"
#include "base/fs.h"
#include "runtime/cgroup/engine_groups.h"
#include "runtime/cgroup/files.h"
#include "runtime/cgroup/hierarchies.h"

namespace rundlet::runtime {
namespace {

using base::UniqueFd;
using std::chrono::microseconds;
using std::chrono::nanoseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Controllers kAllOfV2 = {Controller::kMemory, Controller::kPids, Controller::kCpu,
                              Controller::kCpuTime};

TEST(FindHierarchies, V2Alone) {
  EXPECT_THAT(
      FindHierarchies("22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
                      "28 23 0:25 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 "
                      "rw,nsdelegate\n",
                      "0::/user.slice/user-0.slice/session-1.scope\n"),
      ElementsAre(Hierarchy{
          GroupVersion::kV2, {}, "/sys/fs/cgroup", "/user.slice/user-0.slice/session-1.scope"}));
}

TEST(FindHierarchies, V1AndHybrid) {
  const char* mounts =
      "30 25 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
      "31 25 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
      "32 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
      "33 25 0:29 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n"
      "34 25 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "35 25 0:30 / /elsewhere rw - cgroup cgroup rw,memory\n";
  const char* own =
      "5:cpu,cpuacct:/\n4:memory:/a:b/c\n3:blkio:/\n1:name=systemd:/x\n0::/unified/group\n";
  EXPECT_THAT(
      FindHierarchies(mounts, own),
      ElementsAre(
          Hierarchy{GroupVersion::kV2, {}, "/sys/fs/cgroup/unified", "/unified/group"},
          Hierarchy{GroupVersion::kV1,
                    {Controller::kCpu, Controller::kCpuTime},
                    "/sys/fs/cgroup/cpu,cpuacct",
                    ""},
          Hierarchy{GroupVersion::kV1, {Controller::kMemory}, "/sys/fs/cgroup/memory", "/a:b/c"}));
}

TEST(FindHierarchies, InAContainerTheMountsRootIsNotTheHierarchys) {
  const auto own_of = [](const char* root, const char* path) {
    const auto found =
        FindHierarchies(std::string("1 0 0:9 ") + root + " /g rw - cgroup cgroup rw,pids\n",
                        std::string("7:pids:") + path + "\n");
    return found.empty() ? std::string("left out") : found.front().own;
  };
  EXPECT_EQ(own_of("/docker/1", "/docker/1"), "");
  EXPECT_EQ(own_of("/docker/1", "/docker/1/a"), "/a");
  EXPECT_EQ(own_of("/docker/1", "/docker/12"), "left out");
  EXPECT_EQ(own_of("/docker/1", "/"), "left out");
  EXPECT_EQ(own_of("/", "/../x"), "left out");
}

TEST(FindHierarchies, NonsenseIsNoHierarchy) {
  EXPECT_THAT(FindHierarchies("", ""), IsEmpty());
  EXPECT_THAT(FindHierarchies("a - b\n - cgroup2\n1 2 3 - cgroup2 x y\n", "0:\n:\nx\n"), IsEmpty());
}

const Limits kLimits = {.memory = 64 << 20, .cpus = 1500, .pids = 10};

TEST(SettingsForTest, V2) {
  EXPECT_THAT(SettingsFor({GroupVersion::kV2, kAllOfV2}, kLimits, 1),
              ElementsAre(GroupSetting{Controller::kMemory, "memory.oom.group", "1"},
                          GroupSetting{Controller::kMemory, "memory.max", "67108864"},
                          GroupSetting{Controller::kMemory, "memory.swap.max", "0", true},
                          GroupSetting{Controller::kCpu, "cpu.max", "150000 100000"},
                          GroupSetting{Controller::kPids, "pids.max", "11"}));
}

TEST(SettingsForTest, V1) {
  EXPECT_THAT(SettingsFor({GroupVersion::kV1, kAllOfV2}, kLimits, 2),
              ElementsAre(GroupSetting{Controller::kMemory, "memory.limit_in_bytes", "67108864"},
                          GroupSetting{Controller::kMemory, "memory.memsw.limit_in_bytes",
                                       "67108864", true},
                          GroupSetting{Controller::kMemory, "memory.swappiness", "0", true},
                          GroupSetting{Controller::kCpu, "cpu.cfs_period_us", "100000"},
                          GroupSetting{Controller::kCpu, "cpu.cfs_quota_us", "150000"},
                          GroupSetting{Controller::kPids, "pids.max", "12"}));
}

TEST(SettingsForTest, WhatIsNotAskedForIsNotSetButForProcesses) {
  for (const GroupVersion version : {GroupVersion::kV1, GroupVersion::kV2}) {
    const auto settings = SettingsFor({version, kAllOfV2}, Limits{}, 0);
    EXPECT_EQ(settings.back(), (GroupSetting{Controller::kPids, "pids.max", "2048"}));
    for (const GroupSetting& setting : settings) EXPECT_NE(setting.file, "memory.max");
    EXPECT_THAT(SettingsFor({version, {Controller::kCpuTime}}, kLimits, 0), IsEmpty());
  }
}

// A directory with the files of one or more groups.
class FakeGroups : public ::testing::Test {
 protected:
  FakeGroups() : root_(std::filesystem::temp_directory_path() / "rundlet-groups-XXXXXX") {
    std::string path = root_.string();
    EXPECT_NE(mkdtemp(path.data()), nullptr);
    root_ = path;
  }
  ~FakeGroups() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    const UniqueFd file(
        open((root_ / path).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    base::WriteFd(file.get(), text, path);
  }
  std::string Content(const std::string& path) const {
    return base::ReadFd(base::OpenHostPath((root_ / path).string(), O_RDONLY).get(), 4096, path);
  }
  UniqueFd Open(const std::string& path = ".") const {
    return base::OpenHostPath((root_ / path).string(), O_RDONLY | O_DIRECTORY);
  }
  Hierarchy At(GroupVersion version, Controllers controllers, const std::string& own) const {
    return {version, std::move(controllers), root_.string(), own};
  }

  std::filesystem::path root_;
};

TEST_F(FakeGroups, UsageOfV2) {
  Write("memory.peak", "1048576\n");
  Write("memory.events", "low 0\nhigh 0\nmax 5\noom 2\noom_kill 3\noom_group_kill 1\n");
  Write("pids.events", "max 4\n");
  Write("cpu.stat", "usage_usec 30\nuser_usec 10\nsystem_usec 20\n");
  GroupUsage usage;
  ReadUsage({GroupVersion::kV2, kAllOfV2}, Open().get(), usage);
  EXPECT_EQ(usage, (GroupUsage{1 << 20, microseconds(10), microseconds(20), 3, 4}));
}

TEST_F(FakeGroups, UsageOfV1) {
  Write("memory.max_usage_in_bytes", "4096\n");
  Write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  Write("pids.events", "max 0\n");
  Write("cpuacct.usage_user", "5000000000\n");
  Write("cpuacct.usage_sys", "7\n");
  GroupUsage usage;
  ReadUsage({GroupVersion::kV1, kAllOfV2}, Open().get(), usage);
  EXPECT_EQ(usage, (GroupUsage{4096, nanoseconds(5'000'000'000), nanoseconds(7), 1, 0}));
}

TEST_F(FakeGroups, UsageThatCannotBeReadIsLeftOut) {
  Write("memory.peak", "max\n");
  for (const GroupVersion version : {GroupVersion::kV1, GroupVersion::kV2}) {
    GroupUsage usage;
    ReadUsage({version, kAllOfV2}, Open().get(), usage);
    EXPECT_EQ(usage, GroupUsage{});
  }
}

TEST_F(FakeGroups, ASettingSaysWhyItCannotBe) {
  Write("cpu.max", "max 100000");
  EXPECT_EQ(WriteSetting(Open().get(), {Controller::kCpu, "cpu.max", "1000 100000"}), 0);
  EXPECT_EQ(Content("cpu.max"), "1000 100000");
  EXPECT_EQ(WriteSetting(Open().get(), {Controller::kMemory, "memory.max", "1"}), ENOENT);
  EXPECT_EQ(WriteSetting(Open().get(), {Controller::kMemory, "memory.swap.max", "0", true}), 0);
}

TEST_F(FakeGroups, V1GroupsLieBelowTheEnginesOwn) {
  std::filesystem::create_directories(root_ / "own");
  std::string place;
  {
    const EngineGroups groups({At(GroupVersion::kV1, {Controller::kMemory}, "/own")});
    ASSERT_EQ(groups.directories().size(), 1u);
    const GroupDirectory& directory = groups.directories().front();
    place = directory.place + "/" + directory.name;
    EXPECT_EQ(directory.place, root_.string() + "/own");
    EXPECT_TRUE(std::filesystem::is_directory(place));
    EXPECT_TRUE(groups.Has(Controller::kMemory));
    groups.Require({.memory = 1 << 30, .cpus = {}, .pids = {}});
    EXPECT_THROW(groups.Require({.memory = {}, .cpus = {}, .pids = 5}), base::Error);
    std::filesystem::create_directory(place + "/1");
  }
  EXPECT_FALSE(std::filesystem::exists(place));
}

TEST_F(FakeGroups, ALeafGoesWhenItCan) {
  EngineGroups groups({At(GroupVersion::kV1, {Controller::kMemory}, "")});
  const std::string place = root_ / groups.directories().front().name;
  std::filesystem::create_directories(place + "/1/busy");
  std::filesystem::create_directory(place + "/2");
  groups.RemoveLeaf(1);
  EXPECT_TRUE(std::filesystem::exists(place + "/1"));
  std::filesystem::remove(place + "/1/busy");
  groups.RemoveLeaf(2);
  EXPECT_FALSE(std::filesystem::exists(place + "/1"));
  EXPECT_FALSE(std::filesystem::exists(place + "/2"));
}

TEST_F(FakeGroups, OthersDirectoriesAreNotSwept) {
  for (const char* name : {"rundlet-0123456789abcdef", "rundlet-mine", "other"})
    std::filesystem::create_directory(root_ / name);
  const EngineGroups groups({At(GroupVersion::kV1, {Controller::kPids}, "")});
  EXPECT_FALSE(std::filesystem::exists(root_ / "rundlet-0123456789abcdef"));
  EXPECT_TRUE(std::filesystem::exists(root_ / "rundlet-mine"));
  EXPECT_TRUE(std::filesystem::exists(root_ / "other"));
}

TEST_F(FakeGroups, TheRootOfV2IsOursToUse) {
  Write("cgroup.controllers", "cpuset cpu io memory pids\n");
  Write("cgroup.subtree_control", "");
  const EngineGroups groups({At(GroupVersion::kV2, {}, "")});
  ASSERT_EQ(groups.directories().size(), 1u);
  EXPECT_EQ(groups.directories().front().place, root_.string());
  EXPECT_EQ(groups.directories().front().kind.controllers, kAllOfV2);
}

TEST_F(FakeGroups, AGroupOfV2ThatIsNotDelegatedIsLeftAlone) {
  Write("cgroup.type", "domain\n");
  Write("session/cgroup.controllers", "cpu memory pids\n");
  const EngineGroups groups({At(GroupVersion::kV2, {}, "/session")});
  EXPECT_THAT(groups.directories(), IsEmpty());
  try {
    groups.Require({.memory = 1 << 30, .cpus = {}, .pids = {}});
    ADD_FAILURE() << "it was accepted";
  } catch (const NotDelegated& error) {
    EXPECT_EQ(error.fault(), base::Fault::kHost);
    EXPECT_THAT(error.Render(), HasSubstr("controller `memory` cannot be used"));
    EXPECT_THAT(error.Render(), HasSubstr("`/session` is not delegated"));
    EXPECT_THAT(error.hint(), HasSubstr("systemd-run --scope -p Delegate=yes"));
  }
}

TEST_F(FakeGroups, WhatAContainerWasGivenIsItsToDivide) {
  Write("cgroup.type", "domain\n");
  Write("cgroup.controllers", "memory pids\n");
  Write("cgroup.subtree_control", "");
  Write("cgroup.procs", "1\n");
  Write("rundlet.engine/cgroup.procs", "");
  const EngineGroups groups({At(GroupVersion::kV2, {}, "")});
  EXPECT_TRUE(groups.Has(Controller::kMemory));
  EXPECT_THAT(Content("rundlet.engine/cgroup.procs"), HasSubstr("1"));
}

TEST_F(FakeGroups, AnEngineLeavesADelegatedGroupToItsSandboxes) {
  Write("cgroup.type", "domain\n");
  Write("service/cgroup.type", "domain\n");
  Write("service/cgroup.controllers", "memory pids\n");
  Write("service/cgroup.subtree_control", "");
  Write("service/cgroup.procs", "4711\n");
  Write("service/rundlet.engine/cgroup.procs", "");
  if (setxattr((root_ / "service").c_str(), "user.delegate", "1", 1, 0) < 0)
    GTEST_SKIP() << "no user attributes in " << root_;
  const EngineGroups groups({At(GroupVersion::kV2, {}, "/service")});
  ASSERT_EQ(groups.directories().size(), 1u);
  EXPECT_EQ(groups.directories().front().place, root_.string() + "/service");
  EXPECT_THAT(Content("service/rundlet.engine/cgroup.procs"), HasSubstr("4711"));
  EXPECT_FALSE(groups.Has(Controller::kCpu));
  // From a group below the delegated one the engine need not move.
  Write("service/main/cgroup.controllers", "memory pids\n");
  Write("service/rundlet.engine/cgroup.procs", "");
  Write("service/cgroup.procs", "");
  const EngineGroups below({At(GroupVersion::kV2, {}, "/service/main")});
  ASSERT_EQ(below.directories().size(), 1u);
  EXPECT_EQ(below.directories().front().place, root_.string() + "/service");
  EXPECT_EQ(Content("service/rundlet.engine/cgroup.procs"), "");
}

TEST_F(FakeGroups, AHostWithoutControlGroupsIsNoError) {
  const EngineGroups groups(std::vector<Hierarchy>{});
  groups.Require(Limits{});
  EXPECT_THROW(groups.Require({.memory = {}, .cpus = 1000, .pids = {}}), base::Error);
}

}  // namespace
}  // namespace rundlet::runtime
