#include "runtime/spec/mount_plan.h"

#include <gtest/gtest.h>

#include "sample_spec.h"

namespace rundlet::runtime {
namespace {

TEST(MountPlan, DescribesEveryKindOfMount) {
  EXPECT_EQ(Describe(FullSpec().mounts),
            "/: overlay writable idmapped\n"
            "    skeletons/s/tree\n"
            "    layers/b/tree\n"
            "    layers/a/tree\n"
            "/proc: proc\n"
            "/dev: devices\n"
            "/tmp: scratch mode 700\n"
            "/env: overlay\n"
            "    packages/six/tree\n"
            "/rundlet/out: store runs/1/out rw idmapped\n"
            "/work: handed #3 rw\n");
  EXPECT_EQ(Describe(SkeletonSpec().mounts),
            "/: skeleton\n"
            "    /out/\n"
            "    /etc/ssl/\n"
            "    /etc/mtab -> /proc/mounts\n"
            "/out: store staging/1/tree rw\n"
            "/proc: proc subset=pid\n");
  EXPECT_EQ(Describe({{{"/", StorePath{"a"}}, {"/in", HandedMount{}}}}),
            "/: store a ro\n"
            "/in: handed #0 ro\n");
  EXPECT_EQ(Describe({}), "");
}

TEST(MountPlan, ComparesByValue) {
  EXPECT_EQ(FullSpec().mounts, FullSpec().mounts);
  MountPlan other = FullSpec().mounts;
  std::get<StorePath>(other.mounts[5].source).writable = false;
  EXPECT_NE(other, FullSpec().mounts);
}

}  // namespace
}  // namespace rundlet::runtime
