#include "runtime/proc_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rundlet::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kCpuInfo =
    "processor\t: 0\nmodel name\t: A\n\nprocessor\t: 1\nmodel name\t: A\n\n";
constexpr const char* kStat =
    "cpu  10 20 30\ncpu0 5 10 15\ncpu1 5 10 15\nintr 123 4 5\nctxt 99\nbtime 1700000000\n";

TEST(ProcFilesFor, NothingIsReplacedWithoutALimit) {
  EXPECT_THAT(ProcFilesFor(Limits{}, kCpuInfo, kStat), IsEmpty());
}

TEST(ProcFilesFor, MemoryIsTheLimit) {
  const auto files = ProcFilesFor({.memory = 64 << 20, .cpus = {}, .pids = {}}, kCpuInfo, kStat);
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files.front().first, "meminfo");
  EXPECT_THAT(files.front().second, HasSubstr("MemTotal:          65536 kB\n"));
  EXPECT_THAT(files.front().second, HasSubstr("MemAvailable:      65536 kB\n"));
  EXPECT_THAT(files.front().second, HasSubstr("SwapTotal:             0 kB\n"));
}

TEST(ProcFilesFor, ProcessorsAreRoundedUpAndNotMoreThanTheHosts) {
  const auto of = [](uint32_t cpus) {
    return ProcFilesFor({.memory = {}, .cpus = cpus, .pids = {}}, kCpuInfo, kStat);
  };
  const auto one = of(100);
  ASSERT_EQ(one.size(), 2u);
  EXPECT_EQ(one[0].first, "cpuinfo");
  EXPECT_EQ(one[0].second, "processor\t: 0\nmodel name\t: A\n\n");
  EXPECT_EQ(one[1].first, "stat");
  EXPECT_EQ(one[1].second,
            "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\nbtime 1700000000\n"
            "processes 0\nprocs_running 1\nprocs_blocked 0\n");
  EXPECT_EQ(of(1001)[0].second, kCpuInfo);
  EXPECT_EQ(of(9000)[0].second, kCpuInfo);
}

}  // namespace
}  // namespace rundlet::runtime
