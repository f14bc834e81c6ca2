// Overlays: what is deleted stays deleted, by each way of mounting, and a writable layer is
// writable.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "base/fs.h"
#include "base/text.h"
#include "runtime/launcher/mounting.h"
#include "runtime/launcher/overlay.h"
#include "runtime/launcher/private_root.h"
#include "sandbox_test.h"

namespace rundlet::runtime {
namespace {

using base::UniqueFd;

// By the version and not by a probe, or a probe that is wrong would hide what it is wrong about.
std::vector<OverlayWay> Ways() {
  utsname system{};
  uname(&system);
  int major = 0;
  int minor = 0;
  if (std::sscanf(system.release, "%d.%d", &major, &minor) != 2) ADD_FAILURE() << system.release;
  if (std::pair(major, minor) < std::pair(6, 13)) return {OverlayWay::kByName};
  return {OverlayWay::kByDescriptor, OverlayWay::kByName};
}

class LayersTest : public SandboxTest {
 protected:
  // A lower layer, and one over it that deletes, hides and replaces.
  void AddTwoLayers() {
    state_->AddFile("low/deleted", "");
    state_->AddFile("low/deleted-dir/inner/file", "");
    state_->AddFile("low/opaque/old", "");
    state_->AddFile("low/dir-to-file/old", "");
    state_->AddFile("low/file-to-dir", "");
    state_->AddFile("low/again/old", "");
    state_->AddFile("low/kept/low", "");
    state_->AddWhiteout("high/deleted");
    state_->AddWhiteout("high/deleted-dir");
    state_->AddFile("high/opaque/new", "");
    state_->MakeOpaque("high/opaque");
    state_->AddFile("high/dir-to-file", "");
    state_->AddFile("high/file-to-dir/new", "");
    state_->AddDirectory("high/again");  // deleted and made again
    state_->MakeOpaque("high/again");
    state_->AddFile("high/kept/high", "");
  }

  UniqueFd Open(const std::string& path) {
    return base::OpenHostPath("/store/" + path, O_PATH | O_DIRECTORY);
  }
};

std::string Names(int dir, const std::string& path) {
  std::string names;
  for (const base::DirEntry& entry : base::ListDir(dir, path)) names += entry.name + " ";
  return names;
}

void ExpectTwoLayers(const std::function<std::string(const std::string&)>& list) {
  EXPECT_EQ(list("."), "again dir-to-file file-to-dir kept opaque ");
  EXPECT_EQ(list("again"), "");
  EXPECT_EQ(list("file-to-dir"), "new ");
  EXPECT_EQ(list("kept"), "high low ");
  EXPECT_EQ(list("opaque"), "new ");
}

TEST_F(LayersTest, WhatIsDeletedStaysDeletedByEachWay) {
  AddTwoLayers();
  for (const OverlayWay way : Ways()) {
    InChild([this, way] {
      EnterPrivateRoot(DetachedClone(state_->dir(), CloneDepth::kOne));
      const UniqueFd high = Open("high");
      const UniqueFd low = Open("low");
      const UniqueFd mount = MountOverlay(way, {.lowers = {high.get(), low.get()}});
      ExpectTwoLayers([&](const std::string& path) { return Names(mount.get(), path); });
    });
  }
}

TEST_F(LayersTest, AWritableLayerTakesChangesByEachWay) {
  AddTwoLayers();
  state_->AddDirectory("upper");
  state_->AddDirectory("work");
  for (const OverlayWay way : Ways()) {
    InChild([this, way] {
      EnterPrivateRoot(DetachedClone(state_->dir(), CloneDepth::kOne));
      // Memory, as in a sandbox.
      const UniqueFd memory = NewFileSystem("tmpfs", {{"mode", "0755"}}, 0);
      Attach(memory.get(), "/scratch");
      ASSERT_EQ(mkdir("/scratch/upper", 0755), 0);
      ASSERT_EQ(mkdir("/scratch/work", 0700), 0);
      const UniqueFd upper = base::OpenHostPath("/scratch/upper", O_PATH);
      const UniqueFd work = base::OpenHostPath("/scratch/work", O_PATH);
      const UniqueFd high = Open("high");
      const UniqueFd low = Open("low");
      const UniqueFd mount = MountOverlay(
          way, {.lowers = {high.get(), low.get()}, .upper = upper.get(), .work = work.get()});
      ExpectTwoLayers([&](const std::string& path) { return Names(mount.get(), path); });
      base::OpenAt(mount.get(), "kept/fresh", O_WRONLY | O_CREAT | O_EXCL, 0644);
      EXPECT_EQ(unlinkat(mount.get(), "kept/low", 0), 0);
      EXPECT_EQ(Names(mount.get(), "kept"), "fresh high ");
      EXPECT_EQ(Names(low.get(), "kept"), "low ");
    });
  }
}

TEST_F(LayersTest, WhatIsDeletedStaysDeletedInASandbox) {
  AddTwoLayers();
  for (const bool writable : {false, true}) {
    for (const bool idmapped : {false, true}) {
      ExpectTwoLayers([&](const std::string& path) {
        SandboxSpec spec = Spec({"list", "/env/" + path});
        spec.mounts.mounts.push_back({"/env", Layers{{"high", "low"}, idmapped, writable}});
        std::vector<std::string> lines = base::Split(Run(spec).output, '\n');
        std::sort(lines.begin(), lines.end());
        std::string names;
        for (const std::string& line : lines) names += line.empty() ? "" : line + " ";
        return names;
      });
    }
  }
}

// Marks that only a tar of an attacker could carry into a layer, and that unpacking strips as well.
TEST_F(LayersTest, ForgedRedirectsAreNotFollowed) {
  state_->AddFile("low/private/file", "");
  state_->AddDirectory("high/forged");
  const std::string forged = state_->path() + "/high/forged";
  ASSERT_EQ(setxattr(forged.c_str(), "trusted.overlay.redirect", "/private", 8, 0), 0);
  for (const OverlayWay way : Ways()) {
    InChild([this, way] {
      EnterPrivateRoot(DetachedClone(state_->dir(), CloneDepth::kOne));
      const UniqueFd high = Open("high");
      const UniqueFd low = Open("low");
      const UniqueFd mount = MountOverlay(way, {.lowers = {high.get(), low.get()}});
      EXPECT_THROW(Names(mount.get(), "forged"), base::Error);
    });
  }
}

TEST_F(LayersTest, FiveHundredLayersByEachWay) {
  SandboxSpec spec = Spec({"list", "/env"});
  Layers layers;
  for (int i = 0; i < 500; ++i) {
    layers.paths.push_back(fmt::format("many/{:03}", i));
    state_->AddFile(fmt::format("{}/file-{:03}", layers.paths.back(), i), "");
  }
  for (const OverlayWay way : Ways()) {
    InChild([this, way, &layers] {
      EnterPrivateRoot(DetachedClone(state_->dir(), CloneDepth::kOne));
      std::vector<UniqueFd> opened;
      OverlayParts parts;
      for (const std::string& path : layers.paths) {
        opened.push_back(Open(path));
        parts.lowers.push_back(opened.back().get());
      }
      const UniqueFd mount = MountOverlay(way, parts);
      EXPECT_EQ(base::ListDir(mount.get()).size(), 500u);
    });
  }
  spec.mounts.mounts.push_back({"/env", layers});
  const std::string names = Run(spec).output;
  EXPECT_EQ(std::count(names.begin(), names.end(), '\n'), 500);
}

TEST_F(LayersTest, TheSandboxsRootOwnsAndChangesTheImage) {
  SandboxSpec spec = Spec({"writable", "/"});
  spec.uid = spec.gid = 0;
  for (const char* directory : {"/", "/etc", "/usr/lib", "/bin"}) {
    spec.argv.back() = directory;
    const FactMap facts = Run(spec).facts();
    EXPECT_EQ(facts.size(), 8u);
    for (const auto& [operation, verdict] : facts) {
      EXPECT_EQ(verdict, "OK") << operation << " in " << directory;
    }
  }
  // Changing a file of a layer copies it up.
  spec.argv = {"/bin/probe", "write", "/etc/os-release", "ID=changed\n"};
  EXPECT_EQ(Run(spec).output, "OK\n");
  spec.argv = {"/bin/probe", "read", "/etc/os-release", "/secret"};
  EXPECT_EQ(Run(spec).output, "ID=test\nsecret\n") << "gone with the sandbox that changed it";
  spec.argv = {"/bin/probe", "stat", "/secret", "/etc"};
  EXPECT_EQ(Run(spec).output,
            "/secret=file 600 0:0 0:0 794c7630\n/etc=directory 755 0:0 0:0 794c7630\n");
}

TEST_F(LayersTest, TheSandboxsUserDoesNot) {
  EXPECT_EQ(Run(Spec({"write", "/etc/os-release", "x"})).output, "EACCES\n");
  EXPECT_EQ(Run(Spec({"write", "/new", "x"})).output, "EACCES\n");
  EXPECT_EQ(Run(Spec({"read", "/secret"})).output, "/secret=EACCES\n");
}

// The second sandbox of an environment clones what the first one mounted; after 16 others it is
// mounted again.
TEST_F(LayersTest, OverlaysAreKeptAndThrownAway) {
  for (int i = 0; i < 40; ++i) state_->AddFile(fmt::format("env/{}/number", i), std::to_string(i));
  for (const int i :
       {0, 0, 1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 0, 39}) {
    SandboxSpec spec = Spec({"read", "/env/number"});
    spec.mounts.mounts.push_back({"/env", Layers{{fmt::format("env/{}", i), "skeleton"}}});
    EXPECT_EQ(Run(spec).output, std::to_string(i));
  }
}

}  // namespace
}  // namespace rundlet::runtime
