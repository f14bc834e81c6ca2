// Many starts from one engine: what it and its launcher hold does not grow with their number.
#include <fcntl.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cstdlib>

#include "base/fs.h"
#include "base/text.h"
#include "sandbox_test.h"

namespace rundlet::runtime {
namespace {

using base::UniqueFd;

// 20,000 in the suite `soak`, 1/20 of that in the ordinary run.
int Starts() {
  const char* wanted = getenv("RUNDLET_SOAK_STARTS");
  return wanted != nullptr ? std::atoi(wanted) : 1000;
}

struct Hold {
  size_t descriptors;
  size_t mounts;
  uint64_t memory;  // bytes of its own: pages of programs come and go with the page cache
};

std::string ContentOf(pid_t pid, const char* name) {
  const UniqueFd file = base::OpenHostPath(fmt::format("/proc/{}/{}", pid, name), O_RDONLY);
  return base::ReadFd(file.get(), 1 << 20, name);
}

Hold HeldBy(pid_t pid) {
  const UniqueFd dir = base::OpenHostPath(fmt::format("/proc/{}/fd", pid), O_RDONLY);
  const std::string mounts = ContentOf(pid, "mountinfo");
  const std::vector<std::string> pages = base::Split(ContentOf(pid, "statm"), ' ');
  const auto count = [&pages](size_t i) { return std::strtoull(pages.at(i).c_str(), nullptr, 10); };
  return {.descriptors = base::ListDir(dir.get()).size(),
          .mounts = static_cast<size_t>(std::count(mounts.begin(), mounts.end(), '\n')),
          .memory = (count(1) - count(2)) * 4096};  // resident, less what is shared
}

class Soak : public SandboxTest {
 protected:
  // Or the kernel may, at any time, put one page of 2 MiB where a few small ones were in use. The
  // launcher inherits it.
  void SetUp() override {
    ASSERT_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
    SandboxTest::SetUp();
  }
  void TearDown() override {
    SandboxTest::TearDown();
    prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
  }
};

TEST_F(Soak, StartsLeaveNothingBehind) {
  // Also those that fail, early and late, hold nothing.
  SandboxSpec late = Spec({"facts"});
  late.cwd = "/absent";
  SandboxSpec early = Spec({"facts"});
  early.mounts.mounts.push_back({"/work", StorePath{"absent"}});
  const auto round = [&] {
    for (int i = 0; i < 8; ++i) EXPECT_EQ(Run(Spec({"exit", "0"})).outcome.code, 0);
    StartFailure(late);
    StartFailure(early);
  };
  for (int i = 0; i < 5; ++i) round();  // caches fill
  const pid_t launcher = LauncherProcess();
  const Hold launcher_before = HeldBy(launcher);
  const Hold own_before = HeldBy(getpid());
  const Holdings named = Held();
  for (int i = 0; i < Starts(); i += 10) round();
  EXPECT_EQ(LauncherProcess(), launcher) << "it died and was replaced";
  const Hold launcher_after = HeldBy(launcher);
  EXPECT_EQ(launcher_after.descriptors, launcher_before.descriptors);
  EXPECT_EQ(launcher_after.mounts, launcher_before.mounts);
  EXPECT_EQ(Held(), named);
  // An allocator's slack is not a leak; 100 bytes a start would be 2 MB over 20,000.
  constexpr uint64_t kSlack = 512 << 10;
  EXPECT_LE(launcher_after.memory, launcher_before.memory + kSlack);
  EXPECT_LE(HeldBy(getpid()).memory, own_before.memory + kSlack);
}

}  // namespace
}  // namespace rundlet::runtime
