#include "runtime/spec/proc_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rundlet::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr const char* kCpuInfo =
    "processor\t: 0\nmodel name\t: A\n\nprocessor\t: 1\nmodel name\t: A\n\n";
constexpr const char* kStat =
    "cpu  10 20 30\ncpu0 5 10 15\ncpu1 5 10 15\nintr 123 4 5\nctxt 99\nbtime 1700000000\n";

constexpr const char* kUuid = "0b7ba4ec-7a4e-4d3c-8f5f-2f0c1f0ad0f1\n";
constexpr HostProc kHost = {.cpuinfo = kCpuInfo, .stat = kStat, .fresh_uuid = kUuid};

TEST(ProcFilesFor, WithoutALimitOnlyWhatIsAboutEverybodyIsReplaced) {
  EXPECT_THAT(ProcFilesFor(Limits{}, kHost), ElementsAre(Pair("loadavg", "0.00 0.00 0.00 1/1 2\n"),
                                                         Pair("sys/kernel/random/boot_id", kUuid)));
}

TEST(ProcFilesFor, MemoryIsTheLimit) {
  const auto files = ProcFilesFor({.memory = 64 << 20, .cpus = {}, .pids = {}}, kHost);
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files.back().first, "meminfo");
  EXPECT_THAT(files.back().second, HasSubstr("MemTotal:          65536 kB\n"));
  EXPECT_THAT(files.back().second, HasSubstr("MemAvailable:      65536 kB\n"));
  EXPECT_THAT(files.back().second, HasSubstr("SwapTotal:             0 kB\n"));
}

TEST(ProcFilesFor, ProcessorsAreRoundedUpAndNotMoreThanTheHosts) {
  const auto of = [](uint32_t cpus) {
    return ProcFilesFor({.memory = {}, .cpus = cpus, .pids = {}}, kHost);
  };
  const auto one = of(100);
  ASSERT_EQ(one.size(), 4u);
  EXPECT_EQ(one[2].first, "cpuinfo");
  EXPECT_EQ(one[2].second, "processor\t: 0\nmodel name\t: A\n\n");
  EXPECT_EQ(one[3].first, "stat");
  EXPECT_EQ(one[3].second,
            "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\nbtime 1700000000\n"
            "processes 0\nprocs_running 1\nprocs_blocked 0\n");
  EXPECT_EQ(of(1001)[2].second, kCpuInfo);
  EXPECT_EQ(of(9000)[2].second, kCpuInfo);
}

}  // namespace
}  // namespace rundlet::runtime
