// What is brought in from outside: handed mounts and paths of the store, and what a program may do
// to them.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "base/fs.h"
#include "base/text.h"
#include "sandbox_test.h"

namespace rundlet::runtime {
namespace {

using base::UniqueFd;

class Mounts : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    state_->AddDirectory("outside", 0777);
    state_->AddFile("outside/file", "from outside\n", 0666);
    state_->AddDirectory("outside/sub", 0777);
  }
  UniqueFd Handed(const std::string& path) {
    const UniqueFd place = base::OpenAt(state_->dir(), path, O_PATH);
    return DetachedClone(place.get(), CloneDepth::kOne);
  }
  // Runs the probe with one mount more.
  Finished RunWith(Mount mount, std::vector<std::string> arguments, uint32_t uid = 1000) {
    SandboxSpec spec = Spec(std::move(arguments));
    spec.uid = spec.gid = uid;
    spec.mounts.mounts.push_back(std::move(mount));
    if (!std::holds_alternative<HandedMount>(spec.mounts.mounts.back().source)) return Run(spec);
    const UniqueFd handed = Handed(handed_path_);
    return Run(spec, {.mounts = {handed.get()}});
  }

  std::string handed_path_ = "outside";
};

// Every operation of the probe's `read-only`, for one and the same verdict.
void ExpectAll(const std::string& output, const std::string& verdict) {
  const FactMap facts = ParseFacts(output);
  EXPECT_EQ(facts.size(), 19u);
  for (const auto& [operation, got] : facts) EXPECT_EQ(got, verdict) << operation;
}

TEST_F(Mounts, AHandedDirectoryIsReadOnlyUnlessAskedFor) {
  EXPECT_EQ(RunWith({"/work", HandedMount{0}}, {"read", "/work/file"}).output, "from outside\n");
  ExpectAll(RunWith({"/work", HandedMount{0}}, {"read-only", "/work/file", "/work"}).output,
            "EROFS");
  EXPECT_EQ(RunWith({"/work", HandedMount{0, true}}, {"write", "/work/new", "inside\n"}).output,
            "OK\n");
  EXPECT_EQ(base::ReadAt(state_->dir(), "outside/new", 100), "inside\n");
}

TEST_F(Mounts, AHandedFileIsReadOnlyUnlessAskedFor) {
  handed_path_ = "outside/file";
  EXPECT_EQ(RunWith({"/work/in", HandedMount{0}}, {"read", "/work/in"}).output, "from outside\n");
  EXPECT_EQ(RunWith({"/work/in", HandedMount{0}}, {"write", "/work/in", "x"}).output, "EROFS\n");
  EXPECT_EQ(RunWith({"/work/in", HandedMount{0, true}}, {"write", "/work/in", "x"}).output, "OK\n");
  EXPECT_EQ(base::ReadAt(state_->dir(), "outside/file", 100), "x");
}

// The first sandbox lists its root for Landlock's rules, the others are told what is in it.
TEST_F(Mounts, BesideAReadOnlyMountEverySandboxMayWriteTheSame) {
  state_->AddDirectory("image/open", 0777);
  state_->AddDirectory("image/closed/deep/open", 0777);
  state_->AddDirectory("image/empty");
  state_->AddDirectory("image/private", 0700);
  state_->AddFile("image/file", "", 0666);
  state_->AddFile("image/closed/file", "");
  const std::vector<std::pair<std::string, std::string>> verdicts = {
      {"/open/new", "OK\n"},      {"/closed/deep/open/new", "OK\n"}, {"/file", "OK\n"},
      {"/empty/new", "EACCES\n"}, {"/private/new", "EACCES\n"},      {"/closed/file", "EACCES\n"},
      {"/new", "EACCES\n"},       {"/work/file", "EROFS\n"}};
  for (int round = 0; round < 2; ++round) {
    for (const auto& [path, verdict] : verdicts) {
      EXPECT_EQ(RunWith({"/work", HandedMount{0}}, {"write", path, "text"}).output, verdict)
          << path << ", round " << round;
    }
  }
}

TEST_F(Mounts, MissingTargetsAreMadeInTheWritableLayer) {
  EXPECT_EQ(RunWith({"/a/b/c", HandedMount{0}}, {"read", "/a/b/c/file"}).output, "from outside\n");
  handed_path_ = "outside/file";
  EXPECT_EQ(RunWith({"/a/b/c", HandedMount{0}}, {"read", "/a/b/c"}).output, "from outside\n");
  EXPECT_FALSE(base::ExistsAt(state_->dir(), "image/a"));
  EXPECT_FALSE(base::ExistsAt(state_->dir(), "skeleton/a"));
}

TEST_F(Mounts, TargetsThroughLinksOfTheImageStayInTheRoot) {
  state_->AddLink("image/link", "/usr/lib");
  state_->AddLink("image/out", "../../.." + state_->path() + "/outside");
  EXPECT_EQ(RunWith({"/link/made", HandedMount{0}}, {"read", "/usr/lib/made/file"}).output,
            "from outside\n");
  SandboxSpec spec = Spec({"facts"});
  spec.mounts.mounts.push_back({"/out/made", Scratch{}});
  EXPECT_EQ(StartFailure(spec)->chain()[1], "mounting `/out/made`");
  EXPECT_FALSE(base::ExistsAt(state_->dir(), "outside/made"));
}

// Somebody with access to a handed directory swaps a mount point for a link while sandboxes start.
TEST_F(Mounts, SwappedTargetsStayInTheRoot) {
  state_->AddDirectory("canary", 0777);
  // The state directory is where the launcher's own root has it; nothing of the host is there.
  state_->AddLink("outside/link", "/store/canary");
  const UniqueFd outside = base::OpenAt(state_->dir(), "outside", O_RDONLY | O_DIRECTORY);
  SandboxSpec spec = Spec({"exit", "0"});
  spec.mounts.mounts.push_back({"/work", HandedMount{0, true}});
  spec.mounts.mounts.push_back({"/work/sub/made", Scratch{}});
  std::atomic<bool> done = false;
  std::thread swapper([&outside, &done] {
    while (!done) renameat2(outside.get(), "sub", outside.get(), "link", RENAME_EXCHANGE);
  });
  int started = 0;
  for (int i = 0; i < 60; ++i) {
    const UniqueFd handed = Handed("outside");
    try {
      started += Run(spec, {.mounts = {handed.get()}}).outcome.code == 0 ? 1 : 0;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.chain()[1], "mounting `/work/sub/made`");
    }
  }
  done = true;
  swapper.join();
  EXPECT_GT(started, 0);
  EXPECT_TRUE(base::ListDir(state_->dir(), "canary").empty());
}

TEST_F(Mounts, AFileOverADirectoryIsRefused) {
  handed_path_ = "outside/file";
  const UniqueFd handed = Handed(handed_path_);
  SandboxSpec spec = Spec({"facts"});
  spec.mounts.mounts.push_back({"/work", HandedMount{0}});
  EXPECT_EQ(StartFailure(spec, {.mounts = {handed.get()}})->chain()[1], "mounting `/work`");
}

TEST_F(Mounts, NothingFromOutsideRunsWithItsSetuidBit) {
  state_->AddFile("outside/setuid", "", 04755);
  for (const bool writable : {false, true}) {
    const std::string text =
        RunWith({"/work", HandedMount{0, writable}}, {"read", "/proc/self/mountinfo"}).output;
    bool found = false;
    for (const std::string& line : base::Split(text, '\n')) {
      if (line.find(" /work ") == line.npos) continue;
      found = true;
      EXPECT_NE(line.find(writable ? " rw," : " ro,"), line.npos) << line;
      EXPECT_NE(line.find("nosuid"), line.npos) << line;
      EXPECT_NE(line.find("nodev"), line.npos) << line;
    }
    EXPECT_TRUE(found);
  }
}

// Hosts with systemd have shared mounts everywhere: a mount below a handed one must stay inside.
TEST_F(Mounts, NoMountAppearsOnAHostWithSharedMounts) {
  InChild([this] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    // Private first: shared with the host's namespace, as systemd leaves it, our own mounts would
    // get there.
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr), 0);
    const std::string place = state_->path() + "/outside";
    ASSERT_EQ(mount(place.c_str(), place.c_str(), nullptr, MS_BIND, nullptr), 0);
    // In this mount namespace, as an engine's is.
    const UniqueFd state = base::OpenHostPath(state_->path(), O_RDONLY | O_DIRECTORY);
    launcher_ = std::make_unique<Launcher>(getenv("RUNDLET_LAUNCHER"), state.get());
    const std::vector<std::string> before = Held().mounts;
    const UniqueFd opened = base::OpenHostPath(place, O_PATH);
    const UniqueFd handed = DetachedClone(opened.get(), CloneDepth::kRecursive);
    SandboxSpec spec = Spec({"stubborn"});
    spec.mounts.mounts.push_back({"/work", HandedMount{0}});
    spec.mounts.mounts.push_back({"/work/sub", Scratch{}});
    spec.mounts.mounts.push_back({"/env", StorePath{"outside"}});
    spec.mounts.mounts.push_back({"/env/sub", Scratch{}});
    const CheckedSpec checked = CheckSpec(spec);
    const UniqueFd null = base::OpenHostPath("/dev/null", O_RDWR);
    {
      const Sandbox sandbox = launcher_->Start({.spec = &checked,
                                                .standard_input = null.get(),
                                                .standard_output = null.get(),
                                                .standard_error = null.get(),
                                                .mounts = {handed.get()}});
      EXPECT_EQ(Held().mounts, before);
    }
    launcher_.reset();
  });
}

TEST_F(Mounts, StorePathsAreReadOnlyUnlessAskedFor) {
  ExpectAll(RunWith({"/work", StorePath{"outside"}}, {"read-only", "/work/file", "/work"}).output,
            "EROFS");
  EXPECT_EQ(RunWith({"/work/in", StorePath{"outside/file"}}, {"read", "/work/in"}).output,
            "from outside\n");
  EXPECT_EQ(RunWith({"/work", StorePath{"outside", true}}, {"write", "/work/new", "x"}).output,
            "OK\n");
  struct stat info {};
  ASSERT_EQ(fstatat(state_->dir(), "outside/new", &info, 0), 0);
  EXPECT_EQ(info.st_uid, ids_.base + 1000);
}

TEST_F(Mounts, ShiftedStorePathsBelongToRootOnDisk) {
  state_->AddDirectory("owned", 0755);
  FactMap facts =
      RunWith({"/work", StorePath{"owned", true, true}}, {"writable", "/work"}, 0).facts();
  EXPECT_EQ(facts.size(), 8u);
  for (const auto& [operation, verdict] : facts) EXPECT_EQ(verdict, "OK") << operation;
  EXPECT_EQ(
      RunWith({"/work", StorePath{"owned", true, true}}, {"write", "/work/new", "x"}, 0).output,
      "OK\n");
  struct stat info {};
  ASSERT_EQ(fstatat(state_->dir(), "owned/new", &info, 0), 0);
  EXPECT_EQ(info.st_uid, 0u);
  EXPECT_EQ(info.st_gid, 0u);
}

// A step may write links into its output directory; whoever mounts below it later must not follow.
TEST_F(Mounts, LinksBelowTheStoreAreNotFollowed) {
  state_->AddFile("private/secret", "secret");
  state_->AddLink("outside/absolute", "/store/private");
  state_->AddLink("outside/relative", "../private");
  state_->AddLink("outside/proc", "/proc");
  for (const char* path : {"outside/absolute", "outside/absolute/secret", "outside/relative/secret",
                           "outside/proc/1/environ", "outside/proc"}) {
    for (const MountSource& source :
         {MountSource(StorePath{path}), MountSource(Layers{{path}}),
          MountSource(Layers{{path, "image"}}), MountSource(Layers{{"image", path}, true, true})}) {
      SandboxSpec spec = Spec({"facts"});
      spec.mounts.mounts.push_back({"/work", source});
      const auto error = StartFailure(spec);
      ASSERT_EQ(error->chain().size(), 3u) << path;
      EXPECT_EQ(error->chain()[1], "mounting `/work`");
      EXPECT_EQ(error->chain()[2], "too many levels of symbolic links");
    }
  }
}

TEST_F(Mounts, NoOverlayCanBeWrittenThroughAReadOnlyMount) {
  for (const Layers& layers : {Layers{{"outside"}}, Layers{{"outside", "image"}},
                               Layers{{"outside"}, true}, Layers{{"outside", "image"}, true}}) {
    for (const uint32_t uid : {0u, 1000u}) {
      ExpectAll(RunWith({"/env", layers}, {"read-only", "/env/file", "/env"}, uid).output, "EROFS");
    }
  }
  SandboxSpec spec = Spec({"read-only", "/etc/os-release", "/etc"});
  std::get<Layers>(spec.mounts.mounts.front().source).writable = false;
  spec.uid = spec.gid = 0;
  ExpectAll(Run(spec).output, "EROFS");
}

}  // namespace
}  // namespace rundlet::runtime
