// What the probes say of a host on which all other kernel tests pass.
#include "runtime/probes/kernel_features.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/fs.h"
#include "sandbox_test.h"

namespace rundlet::runtime {
namespace {

class Features : public SandboxTest {};

TEST_F(Features, AreTriedAndLeaveNothing) {
  const Holdings before = Held();
  const std::vector<base::DirEntry> entries = base::ListDir(state_->dir());
  std::vector<std::string> names;
  for (const Feature& feature : ProbeFeatures(state_->dir())) {
    names.push_back(feature.name);
    EXPECT_TRUE(feature.available || !feature.required) << feature.name << ": " << feature.detail;
    EXPECT_NE(feature.detail, "") << feature.name;
    EXPECT_TRUE(feature.available || !feature.otherwise.empty()) << feature.name;
  }
  EXPECT_THAT(names, ::testing::ElementsAre(
                         "kernel", "detached mounts", "user namespaces", "ids of sandboxes",
                         "number of user namespaces", "all namespaces at once",
                         "procfs of a sandbox", "overlay by descriptor", "overlay by name",
                         "writable layer in memory", "layers with shifted owners", "500 layers",
                         "system-call filter", "pidfd", "memory limits", "process limits",
                         "cpu limits", "Landlock", "reading past the page cache"));
  EXPECT_EQ(base::ListDir(state_->dir()).size(), entries.size());
  EXPECT_EQ(Held(), before);
}

// A host that refuses is reported, not thrown: here nothing may be mounted or unshared.
TEST_F(Features, ThatAreMissingAreExplained) {
  InChild([this] {
    ASSERT_EQ(setresuid(65'534, 65'534, 65'534), 0);
    EXPECT_THROW(ProbeFeatures(state_->dir()), base::Error) << "cannot write the directory";
  });
  state_->AddDirectory("open", 0777);
  const base::UniqueFd open = base::OpenAt(state_->dir(), "open", O_RDONLY | O_DIRECTORY);
  InChild([&open] {
    ASSERT_EQ(setresuid(65'534, 65'534, 65'534), 0);
    for (const Feature& feature : ProbeFeatures(open.get())) {
      if (feature.name == "detached mounts" || feature.name == "overlay by name") {
        EXPECT_FALSE(feature.available);
        EXPECT_TRUE(feature.required);
        EXPECT_TRUE(feature.detail.ends_with("operation not permitted")) << feature.detail;
      }
    }
  });
}

// As in a container: the kernel wants to see a whole procfs before it mounts another. A launcher
// that may mount at all sees below what covers it.
TEST_F(Features, AMaskedProcOfTheHostIsNoHindrance) {
  InChild([this] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("/dev/null", "/proc/kmsg", nullptr, MS_BIND, nullptr), 0);
    ASSERT_EQ(mount("none", "/proc/sys", "tmpfs", MS_RDONLY, nullptr), 0);
    const base::UniqueFd state = base::OpenHostPath(state_->path(), O_RDONLY | O_DIRECTORY);
    for (const Feature& feature : ProbeFeatures(state.get())) {
      if (feature.name != "procfs of a sandbox") continue;
      EXPECT_TRUE(feature.available) << feature.detail;
    }
    launcher_ = std::make_unique<Launcher>(getenv("RUNDLET_LAUNCHER"), state.get());
    EXPECT_EQ(Run(Spec({"read", "/proc/sys/kernel/hostname"})).output, "rundlet\n");
    launcher_.reset();
  });
}

}  // namespace
}  // namespace rundlet::runtime
