// The file tree: devices, /proc, images that ship links in the place of directories, scratch
// memory.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fs.h"
#include "base/text.h"
#include "sandbox_test.h"

namespace rundlet::runtime {
namespace {

class Tree : public SandboxTest {
 protected:
  // The image alone as the root, with this link in it and a mount over the link.
  SandboxSpec OverLink(const std::string& target, MountSource source) {
    SandboxSpec spec = Spec({"stat", target});
    spec.mounts.mounts = {{"/", Layers{{"image"}, true, true}}, {target, std::move(source)}};
    return spec;
  }
  // The names in a directory of the state directory.
  std::vector<std::string> NamesIn(const std::string& path) {
    std::vector<std::string> names;
    for (const base::DirEntry& entry : base::ListDir(state_->dir(), path)) {
      names.push_back(entry.name);
    }
    return names;
  }
};

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines = base::Split(text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  std::sort(lines.begin(), lines.end());
  return lines;
}

// What `stat` says of a fresh tmpfs directory, of procfs and of a null device.
const char* const kScratch = "directory 1777 0:0 0:0 1021994";
const char* const kNull = "character 666 65534:65534 1:3 1021994";

void ExpectDevices(FactMap facts) {
  EXPECT_EQ(facts["/dev/null"], kNull);
  EXPECT_EQ(facts["/dev/zero"], "character 666 65534:65534 1:5 1021994");
  EXPECT_EQ(facts["/dev/full"], "character 666 65534:65534 1:7 1021994");
  EXPECT_EQ(facts["/dev/random"], "character 666 65534:65534 1:8 1021994");
  EXPECT_EQ(facts["/dev/urandom"], "character 666 65534:65534 1:9 1021994");
  EXPECT_EQ(facts["/dev/tty"], "character 666 65534:65534 5:0 1021994");
  EXPECT_EQ(facts["/dev/shm"], kScratch);
  EXPECT_TRUE(facts["/dev/pts"].ends_with(" 1cd1")) << facts["/dev/pts"];
  for (const char* link : {"/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/ptmx"}) {
    EXPECT_TRUE(facts[link].starts_with("link ")) << link;
  }
}

const std::vector<std::string> kStatDevices = {
    "stat",     "/dev/null", "/dev/zero", "/dev/full",  "/dev/random", "/dev/urandom", "/dev/tty",
    "/dev/shm", "/dev/pts",  "/dev/fd",   "/dev/stdin", "/dev/stdout", "/dev/stderr",  "/dev/ptmx"};

TEST_F(Tree, DevicesAreExactlyOurs) {
  EXPECT_EQ(Lines(Run(Spec({"list", "/dev"})).output),
            (std::vector<std::string>{"fd", "full", "null", "ptmx", "pts", "random", "shm",
                                      "stderr", "stdin", "stdout", "tty", "urandom", "zero"}));
  ExpectDevices(Run(Spec(kStatDevices)).facts());
  EXPECT_EQ(Run(Spec({"list", "/dev/pts"})).output, "ptmx\n");
}

TEST_F(Tree, DevicesOfAnImageAreNeverUsed) {
  state_->AddFile("image/dev/null", "a file of the image");
  state_->AddLink("image/dev/zero", "/etc/os-release");
  ASSERT_EQ(mkfifo((state_->path() + "/image/dev/full").c_str(), 0666), 0);
  state_->AddFile("image/dev/pts", "");
  state_->AddLink("image/dev/shm", "/usr/lib");
  ExpectDevices(Run(Spec(kStatDevices)).facts());
  SandboxSpec bare = Spec(kStatDevices);
  bare.mounts.mounts = {{"/", Layers{{"image"}, true, true}}, {"/dev", Devices{}}};
  ExpectDevices(Run(bare).facts());
}

TEST_F(Tree, DevicesCannotBeChanged) {
  SandboxSpec spec = Spec({"read-only", "/dev/null", "/dev"});
  spec.uid = spec.gid = 0;
  FactMap facts = Run(spec).facts();
  EXPECT_EQ(facts["write"], "OK") << "writing to the device itself is what it is for";
  for (const char* what : {"chmod", "utimes", "rename", "create", "mkdir", "unlink", "mknod"}) {
    EXPECT_EQ(facts[what], "EROFS") << what;
  }
}

// With the skeleton on top, whatever the image has in the place of a mount point is hidden.
TEST_F(Tree, LinksOfAnImageDoNotLeadMountsAway) {
  const std::string names[] = {"dev", "proc", "tmp", "etc", "env"};
  const std::string host = state_->path() + "/canary";
  state_->AddDirectory("canary");
  for (const std::string& target :
       {std::string("/usr/lib"), std::string("usr/lib"), host, std::string("/absent"),
        std::string("../../../../../../tmp"), std::string("/proc/1/root"), std::string("SELF")}) {
    const std::string layer = fmt::format("evil-{}", NamesIn(".").size());
    for (const std::string& name : names) {
      state_->AddLink(layer + "/" + name, target == "SELF" ? name : target);
    }
    SandboxSpec spec = Spec({"stat", "/dev/null", "/proc", "/tmp", "/env", "/etc", "/usr/lib"});
    std::get<Layers>(spec.mounts.mounts.front().source).paths = {"skeleton", layer, "image"};
    spec.mounts.mounts.push_back({"/env", Scratch{}});
    FactMap facts = Run(spec).facts();
    EXPECT_EQ(facts["/dev/null"], kNull) << target;
    EXPECT_TRUE(facts["/proc"].ends_with(" 9fa0")) << target;
    EXPECT_EQ(facts["/tmp"], kScratch) << target;
    EXPECT_EQ(facts["/env"], kScratch) << target;
    EXPECT_EQ(facts["/etc"], "directory 755 0:0 0:0 794c7630") << target;
    EXPECT_EQ(facts["/usr/lib"], "directory 755 0:0 0:0 794c7630") << target;
  }
  EXPECT_EQ(NamesIn("canary"), std::vector<std::string>{});
}

// Without it they are followed inside the image, and nowhere else.
TEST_F(Tree, LinksAreResolvedInsideTheRoot) {
  state_->AddDirectory("canary");
  const std::string canary = state_->path() + "/canary";
  state_->AddLink("image/inside", "/usr/lib");
  state_->AddLink("image/upward", "../../../../../../../../usr/lib");
  state_->AddLink("image/host", canary);
  state_->AddLink("image/launcher", "/store/canary");
  state_->AddLink("image/loop", "loop");
  state_->AddLink("image/dangling", "/absent");
  for (const char* target : {"/inside", "/upward"}) {
    SandboxSpec spec = OverLink(target, Scratch{});
    spec.argv = {"/bin/probe", "stat", "/usr/lib"};
    EXPECT_EQ(Run(spec).facts()["/usr/lib"], kScratch) << target;
    SandboxSpec below = OverLink(std::string(target) + "/made/here", Scratch{});
    below.argv = {"/bin/probe", "stat", "/usr/lib/made/here"};
    EXPECT_EQ(Run(below).facts()["/usr/lib/made/here"], kScratch) << target;
  }
  for (const char* target :
       {"/host", "/launcher", "/dangling", "/loop", "/host/x", "/launcher/x"}) {
    const auto error = StartFailure(OverLink(target, Scratch{}));
    EXPECT_EQ(error->fault(), base::Fault::kHost) << target;
    EXPECT_EQ(error->chain()[1], fmt::format("mounting `{}`", target));
  }
  EXPECT_EQ(NamesIn("canary"), std::vector<std::string>{});
}

TEST_F(Tree, AMountPointThatIsAMagicLinkIsRefused) {
  SandboxSpec spec = Spec({"facts"});
  spec.mounts.mounts.push_back({"/proc/self/cwd", Scratch{}});
  EXPECT_EQ(StartFailure(spec)->chain()[1], "mounting `/proc/self/cwd`");
  spec.mounts.mounts.back().target = "/proc/1/root/tmp";
  EXPECT_EQ(StartFailure(spec)->chain()[1], "mounting `/proc/1/root/tmp`");
}

TEST_F(Tree, ProcShowsOnlyTheSandbox) {
  const auto processes = [](const std::string& output) {
    std::vector<std::string> pids;
    for (const std::string& name : Lines(output)) {
      if (name.find_first_not_of("0123456789") == name.npos) pids.push_back(name);
    }
    return pids;
  };
  const std::string full = Run(Spec({"list", "/proc"})).output;
  EXPECT_EQ(processes(full), (std::vector<std::string>{"1", "2"}));
  SandboxSpec spec = Spec({"list", "/proc"});
  spec.mounts.mounts[1] = {"/proc", Proc{ProcView::kOwnProcesses}};
  EXPECT_EQ(Lines(Run(spec).output), (std::vector<std::string>{"1", "2", "self", "thread-self"}));
}

TEST_F(Tree, ProcCannotBeWritten) {
  SandboxSpec spec = Spec({"open", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname",
                           "/proc/sysrq-trigger", "/proc/self/oom_score_adj", "/proc/self/uid_map",
                           "/proc/self/attr/current", "/proc/self/mem"});
  for (const uint32_t uid : {0u, 1000u}) {
    spec.uid = spec.gid = uid;
    for (const auto& [path, verdict] : Run(spec).facts()) {
      // Absent where the kernel was built without it.
      EXPECT_THAT(verdict, ::testing::AnyOf("EROFS", "EACCES", "ENOENT")) << path;
    }
  }
}

// Each is empty, absent or closed.
TEST_F(Tree, ProcOfTheHostIsMasked) {
  for (const uint32_t uid : {0u, 1000u}) {
    for (const char* name : {"acpi", "asound", "cmdline", "interrupts", "kcore", "key-users",
                             "keys", "kmsg", "kpagecount", "kpageflags", "latency_stats",
                             "sched_debug", "scsi", "slabinfo", "timer_list", "vmallocinfo"}) {
      const std::string path = std::string("/proc/") + name;
      SandboxSpec spec = Spec({"read", path});
      spec.uid = spec.gid = uid;
      const std::string content = Run(spec).output;
      if (content == path + "=EISDIR\n") {
        spec.argv = {"/bin/probe", "list", path};
        EXPECT_EQ(Run(spec).output, "") << path;
      } else if (!content.empty()) {
        EXPECT_THAT(content, ::testing::AnyOf(path + "=ENOENT\n", path + "=EACCES\n"));
      }
    }
  }
}

TEST_F(Tree, ScratchIsOneLimitForAll) {
  SandboxSpec spec = Spec({"fill", "/tmp/a", "/dev/shm/b", "/var-c", "/tmp/d"});
  spec.uid = spec.gid = 0;
  spec.scratch_bytes = 4 << 20;
  FactMap facts = Run(spec).facts();
  uint64_t total = 0;
  for (const char* path : {"/tmp/a", "/dev/shm/b", "/var-c", "/tmp/d"}) {
    EXPECT_EQ(facts[path], "ENOSPC") << path;
    total += std::stoull(facts[std::string(path) + ".bytes"]);
  }
  EXPECT_GT(total, 3u << 20);
  EXPECT_LE(total, spec.scratch_bytes);
}

TEST_F(Tree, ScratchIsGoneWithTheSandbox) {
  EXPECT_EQ(Run(Spec({"write", "/tmp/left", "x"})).output, "OK\n");
  EXPECT_EQ(Run(Spec({"list", "/tmp"})).output, "");
}

TEST_F(Tree, ASkeletonHasItsEntriesAndMountPointsOnly) {
  const base::UniqueFd probe = base::OpenHostPath(getenv("RUNDLET_PROBE"), O_PATH);
  SandboxSpec spec = Spec({});
  spec.mounts.mounts = {{"/", Skeleton{{"/a/b"}, {{"/etc", "/a"}}}},
                        {"/x/y", Scratch{0755}},
                        {"/in", StorePath{"image/usr"}}};
  spec.program_by_descriptor = true;
  spec.argv = {"probe", "list", "/"};
  EXPECT_EQ(Lines(Run(spec, {.program = probe.get()}).output),
            (std::vector<std::string>{"a", "etc", "in", "x"}));
  spec.argv = {"probe", "stat", "/a/b", "/etc", "/x", "/x/y"};
  EXPECT_EQ(Run(spec, {.program = probe.get()}).output,
            "/a/b=directory 755 65534:65534 0:0 1021994\n"
            "/etc=link 777 65534:65534 0:0 0\n"
            "/x=directory 755 65534:65534 0:0 1021994\n"
            "/x/y=directory 755 0:0 0:0 1021994\n");
  spec.uid = spec.gid = 0;
  spec.argv = {"probe", "write", "/fresh", "x"};
  EXPECT_EQ(Run(spec, {.program = probe.get()}).output, "EROFS\n");
}

}  // namespace
}  // namespace rundlet::runtime
