#include "runtime/spec/sandbox_spec.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "sample_spec.h"

namespace rundlet::runtime {
namespace {

using namespace std::string_literals;

// What CheckSpec says of the minimal spec with one thing changed; empty when it is accepted.
std::string Refusal(const std::function<void(SandboxSpec&)>& change) {
  SandboxSpec spec = MinimalSpec();
  change(spec);
  try {
    CheckSpec(std::move(spec));
    return "";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::kInvalid);
    EXPECT_TRUE(error.chain().front().starts_with("starting a sandbox with ")) << error.what();
    return error.chain().size() == 2 ? error.chain().back() : "a chain of another length";
  }
}

std::string RefusalOfMount(Mount mount) {
  return Refusal([&](SandboxSpec& spec) { spec.mounts.mounts.push_back(std::move(mount)); });
}

TEST(CheckSpec, AcceptsAndKeepsWhatItIsGiven) {
  for (const SandboxSpec& spec : {MinimalSpec(), FullSpec(), SkeletonSpec()}) {
    EXPECT_EQ(CheckSpec(spec).value(), spec);
  }
}

TEST(CheckSpec, TheRootComesFirstAndIsImageLayersOrASkeleton) {
  const auto with = [](std::vector<Mount> mounts) {
    return Refusal([&](SandboxSpec& spec) { spec.mounts.mounts = std::move(mounts); });
  };
  const Mount root = MinimalSpec().mounts.mounts.front();
  EXPECT_EQ(with({}), "the first is not `/`");
  EXPECT_EQ(with({{"/tmp", Scratch{}}, root}), "the first is not `/`");
  EXPECT_EQ(with({{"/", Scratch{}}}), "`/` is neither image layers nor a skeleton");
  EXPECT_EQ(with({{"/", StorePath{"a"}}}), "`/` is neither image layers nor a skeleton");
  EXPECT_EQ(with({{"/", HandedMount{}}}), "`/` is neither image layers nor a skeleton");
  EXPECT_EQ(with({{"/", Proc{}}}), "`/` is neither image layers nor a skeleton");
  EXPECT_EQ(with({{"/", Devices{}}}), "`/` is neither image layers nor a skeleton");
  EXPECT_EQ(with({root, root}), "only the first mount may be the root");
  std::vector<Mount> many(256, {"/tmp", Scratch{}});
  many.front() = root;
  EXPECT_EQ(with(many), "");
  many.push_back(many.back());
  EXPECT_EQ(with(many), "there are over 256");
}

TEST(CheckSpec, ATerminalIsOneOfItsDevices) {
  const auto with = [](std::vector<Mount> more) {
    return Refusal([&](SandboxSpec& spec) {
      spec.terminal = TerminalSize{};
      for (Mount& mount : more) spec.mounts.mounts.push_back(std::move(mount));
    });
  };
  EXPECT_EQ(with({}), "there are no devices at `/dev`, of which it is one");
  EXPECT_EQ(with({{"/dev", Scratch{}}}), "there are no devices at `/dev`, of which it is one");
  EXPECT_EQ(with({{"/dev", Devices{}}}), "");
}

TEST(CheckSpec, MountTargetsAreAbsoluteAndPlain) {
  const std::string components = "it has empty, `.` or `..` components, or is too long";
  for (const char* target : {"tmp", "", "./tmp", "../tmp", "~"}) {
    EXPECT_EQ(RefusalOfMount({target, Scratch{}}), "it is not an absolute path") << target;
  }
  for (const char* target :
       {"//", "//tmp", "/tmp/", "/a//b", "/.", "/..", "/a/.", "/a/../b", "/../../etc", "/a/.."}) {
    EXPECT_EQ(RefusalOfMount({target, Scratch{}}), components) << target;
  }
  EXPECT_EQ(RefusalOfMount({"/tmp\0/x"s, Scratch{}}), "it contains a NUL byte");
  EXPECT_EQ(RefusalOfMount({"/" + std::string(256, 'a'), Scratch{}}), components);
  std::string deep;
  while (deep.size() <= 4096) deep += "/a";
  EXPECT_EQ(RefusalOfMount({deep, Scratch{}}), components);
  for (const char* target : {"/tmp", "/a/b/c", "/...", "/.a", "/a b", "/-x", "/\xff"}) {
    EXPECT_EQ(RefusalOfMount({target, Scratch{}}), "") << target;
  }
}

TEST(CheckSpec, StorePathsStayInTheStore) {
  for (const std::string& path :
       {""s, "/"s, "/etc"s, ".."s, "../x"s, "a/.."s, "a/../../b"s, "./a"s, "a/"s, "a//b"s, "a\0b"s,
        std::string(256, 'a'), std::string(5000, 'a')}) {
    EXPECT_EQ(RefusalOfMount({"/x", StorePath{path}}), "it is not plain") << path;
    EXPECT_EQ(RefusalOfMount({"/x", Layers{{"good", path}}}), "it is not plain") << path;
  }
  EXPECT_EQ(RefusalOfMount({"/x", StorePath{"runs/1/out"}}), "");
}

TEST(CheckSpec, OverlaysHaveOneTo500Layers) {
  EXPECT_EQ(RefusalOfMount({"/env", Layers{}}), "it has no layers");
  EXPECT_EQ(RefusalOfMount({"/env", Layers{std::vector<std::string>(500, "a")}}), "");
  EXPECT_EQ(RefusalOfMount({"/env", Layers{std::vector<std::string>(501, "a")}}),
            "the kernel takes 500");
}

TEST(CheckSpec, SkeletonsAreRootsOfPlainEntries) {
  const auto with = [](Skeleton skeleton) {
    return Refusal([&](SandboxSpec& spec) { spec.mounts.mounts = {{"/", std::move(skeleton)}}; });
  };
  EXPECT_EQ(with({{"/a/b"}, {{"/c", "../anything/goes"}}}), "");
  EXPECT_EQ(with({{"a"}, {}}), "it is not an absolute path");
  EXPECT_EQ(with({{"/a/../b"}, {}}), "it has empty, `.` or `..` components, or is too long");
  EXPECT_EQ(with({{"/"}, {}}), "it is the root itself");
  EXPECT_EQ(with({{}, {{"/../c", "x"}}}), "it has empty, `.` or `..` components, or is too long");
  EXPECT_EQ(with({{}, {{"/", "x"}}}), "it is the root itself");
  EXPECT_EQ(with({{}, {{"/c", "x\0y"s}}}), "it contains a NUL byte");
  EXPECT_EQ(with({{}, {{"/c", ""}}}), "it has no target");
  EXPECT_EQ(with({std::vector<std::string>(4097, "/a"), {}}), "it has over 4096 entries");
  EXPECT_EQ(RefusalOfMount({"/x", Skeleton{}}), "it can only be the root");
}

TEST(CheckSpec, DevicesAndScratchAreTheUsualOnes) {
  EXPECT_EQ(RefusalOfMount({"/dev", Devices{}}), "");
  EXPECT_EQ(RefusalOfMount({"/device", Devices{}}), "programs expect them at `/dev`");
  EXPECT_EQ(RefusalOfMount({"/tmp", Scratch{01777}}), "");
  EXPECT_EQ(RefusalOfMount({"/tmp", Scratch{0}}), "");
  for (const uint32_t mode : {04755u, 02755u, 010000u, 0100644u, ~0u}) {
    EXPECT_EQ(RefusalOfMount({"/tmp", Scratch{mode}}),
              "only permissions and the sticky bit may be set");
  }
}

TEST(CheckSpec, IdsAreAboveThoseOfTheHost) {
  const auto with = [](uint32_t base, uint32_t count, uint32_t uid, uint32_t gid) {
    return Refusal([&](SandboxSpec& spec) {
      spec.ids = {base, count};
      spec.uid = uid;
      spec.gid = gid;
    });
  };
  const std::string range = "it must hold 1 to 65536 ids, all above 65535";
  const std::string user = "it is outside the sandbox's id range";
  for (const uint32_t base : {0u, 1u, 1000u, 65'534u, 65'535u}) {
    EXPECT_EQ(with(base, 1, 0, 0), range) << base;
  }
  EXPECT_EQ(with(65'536, 1, 0, 0), "");
  EXPECT_EQ(with(65'536, 0, 0, 0), range);
  EXPECT_EQ(with(65'536, 65'536, 65'535, 65'535), "");
  EXPECT_EQ(with(65'536, 65'537, 0, 0), range);
  EXPECT_EQ(with(65'536, UINT32_MAX, 0, 0), range);
  EXPECT_EQ(with(UINT32_MAX, 1, 0, 0), range);
  EXPECT_EQ(with(UINT32_MAX - 1, 2, 0, 0), range) << "4294967295 means `no id` to the kernel";
  EXPECT_EQ(with(UINT32_MAX - 1, 1, 0, 0), "");
  EXPECT_EQ(with(65'536, 1000, 1000, 0), user);
  EXPECT_EQ(with(65'536, 1000, 0, 1000), user);
  EXPECT_EQ(with(65'536, 1000, UINT32_MAX, 0), user);
}

TEST(CheckSpec, CommandsHaveLimits) {
  const auto with = [](std::vector<std::string> argv) {
    return Refusal([&](SandboxSpec& spec) { spec.argv = std::move(argv); });
  };
  EXPECT_EQ(with({}), "there is nothing to run");
  EXPECT_EQ(with({""}), "there is nothing to run");
  EXPECT_EQ(with({"", "x"}), "there is nothing to run");
  EXPECT_EQ(with({"a", "", "b"}), "");
  EXPECT_EQ(with({"a\0b"s}), "it contains a NUL byte");
  EXPECT_EQ(with({"a", "b\0"s}), "it contains a NUL byte");
  EXPECT_EQ(with({"a", std::string(131'071, 'x')}), "");
  EXPECT_EQ(with({"a", std::string(131'072, 'x')}), "it is longer than the kernel takes");
  EXPECT_EQ(with(std::vector<std::string>(4096, "a")), "");
  EXPECT_EQ(with(std::vector<std::string>(4097, "a")), "there are over 4096");
  EXPECT_EQ(with(std::vector<std::string>(49, std::string(131'000, 'a'))),
            "with its environment they are over 6.0 MiB");
}

TEST(CheckSpec, EnvironmentVariablesHaveNames) {
  const auto with = [](std::string name, std::string value) {
    return Refusal([&](SandboxSpec& spec) {
      spec.environment = {{std::move(name), std::move(value)}};
    });
  };
  EXPECT_EQ(with("A", ""), "");
  EXPECT_EQ(with("A", "b=c"), "");
  EXPECT_EQ(with("", "x"), "the name is empty or has a `=`");
  EXPECT_EQ(with("A=B", "x"), "the name is empty or has a `=`");
  EXPECT_EQ(with("=", "x"), "the name is empty or has a `=`");
  EXPECT_EQ(with("A\0B"s, "x"), "it contains a NUL byte");
  EXPECT_EQ(with("A", "x\0LD_PRELOAD=y"s), "it contains a NUL byte");
  EXPECT_EQ(with("A", std::string(131'069, 'x')), "");
  EXPECT_EQ(with("A", std::string(131'070, 'x')), "it is longer than the kernel takes");
  EXPECT_EQ(Refusal([](SandboxSpec& spec) {
              spec.environment.assign(4096, {"A", "b"});
            }),
            "there are over 4096");
}

TEST(CheckSpec, WorkingDirectoriesAreAbsoluteAndPlain) {
  const auto with = [](std::string cwd) {
    return Refusal([&](SandboxSpec& spec) { spec.cwd = std::move(cwd); });
  };
  const std::string components = "it has empty, `.` or `..` components, or is too long";
  EXPECT_EQ(with("/"), "");
  EXPECT_EQ(with("/work/a b"), "");
  EXPECT_EQ(with(""), "it is not an absolute path");
  EXPECT_EQ(with("work"), "it is not an absolute path");
  EXPECT_EQ(with("/.."), components);
  EXPECT_EQ(with("/proc/self/../1/root"), components);
  EXPECT_EQ(with("/work\0"s), "it contains a NUL byte");
}

TEST(CheckSpec, HostNamesArePlain) {
  const auto with = [](std::string name) {
    return Refusal([&](SandboxSpec& spec) { spec.hostname = std::move(name); });
  };
  EXPECT_EQ(with("a"), "");
  EXPECT_EQ(with(std::string(64, 'a')), "");
  EXPECT_EQ(with(""), "it must have 1 to 64 bytes");
  EXPECT_EQ(with(std::string(65, 'a')), "it must have 1 to 64 bytes");
  for (const std::string& name : {"a b"s, "a\nb"s, "\x1b[31m"s, "a\0"s, "a/b"s, "\xc3\xa9"s}) {
    EXPECT_EQ(with(name), "it may have letters, digits, `-`, `.` and `_` only") << name;
  }
}

TEST(CheckSpec, ScratchSpaceIsBounded) {
  const auto with = [](uint64_t bytes) {
    return Refusal([&](SandboxSpec& spec) { spec.scratch_bytes = bytes; });
  };
  EXPECT_EQ(with(uint64_t{1} << 16), "");
  EXPECT_EQ(with(uint64_t{1} << 44), "");
  const std::string limits = "it must be between 64 KiB and 16 TiB";
  for (const uint64_t bytes :
       {uint64_t{0}, (uint64_t{1} << 16) - 1, (uint64_t{1} << 44) + 1, UINT64_MAX}) {
    EXPECT_EQ(with(bytes), limits) << bytes;
  }
}

// What an outsider chose goes to a terminal: without escape sequences.
TEST(CheckSpec, RefusalsArePrintable) {
  SandboxSpec spec = MinimalSpec();
  spec.cwd = "\x1b]0;owned\x07";
  try {
    CheckSpec(std::move(spec));
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.Render().find('\x1b'), std::string::npos);
    EXPECT_EQ(error.Render().find('\x07'), std::string::npos);
  }
}

TEST(CheckSpec, LimitsAreWithinWhatTheKernelTakes) {
  const auto memory = [](uint64_t bytes) {
    return Refusal([&](SandboxSpec& spec) { spec.limits.memory = bytes; });
  };
  EXPECT_EQ(memory(0), "it must be between 4.0 MiB and 4.0 EiB");
  EXPECT_EQ(memory((4 << 20) - 1), "it must be between 4.0 MiB and 4.0 EiB");
  EXPECT_EQ(memory(4 << 20), "");
  EXPECT_EQ(memory(uint64_t{1} << 62), "");
  EXPECT_EQ(memory((uint64_t{1} << 62) + 1), "it must be between 4.0 MiB and 4.0 EiB");
  const auto cpus = [](uint32_t thousandths) {
    return Refusal([&](SandboxSpec& spec) { spec.limits.cpus = thousandths; });
  };
  EXPECT_EQ(cpus(0), "it must be between 0.01 and 8192");
  EXPECT_EQ(cpus(9), "it must be between 0.01 and 8192");
  EXPECT_EQ(cpus(10), "");
  EXPECT_EQ(cpus(8'192'000), "");
  EXPECT_EQ(cpus(8'192'001), "it must be between 0.01 and 8192");
  const auto pids = [](uint32_t count) {
    return Refusal([&](SandboxSpec& spec) { spec.limits.pids = count; });
  };
  EXPECT_EQ(pids(0), "it must be between 1 and 4194304");
  EXPECT_EQ(pids(1), "");
  EXPECT_EQ(pids(4'194'304), "");
  EXPECT_EQ(pids(4'194'305), "it must be between 1 and 4194304");
}

}  // namespace
}  // namespace rundlet::runtime
