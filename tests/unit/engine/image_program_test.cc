// What a program that rundlet runs for an answer adds to the sandbox of its root.
#include "engine/sandbox/image_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "runtime/spec/sandbox_spec.h"

namespace rundlet::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

// As an image gives it.
runtime::SandboxSpec Root() {
  runtime::SandboxSpec spec;
  spec.mounts.mounts = {{"/", runtime::Layers{}}};
  spec.environment = {{"PATH", "/usr/bin"}, {"PIP_INDEX_URL", "https://image.example/"}};
  return spec;
}

ImageProgram Program() {
  return {.root = HostTools{.hostname = "tools"},
          .command = {.argv = {"python3", "-"}, .mounts = {{"/in", runtime::StorePath{"a"}}}},
          .limits = ForeignLimits{"asking"}};
}

std::vector<std::string> TargetsOf(const runtime::SandboxSpec& spec) {
  std::vector<std::string> targets;
  for (const runtime::Mount& mount : spec.mounts.mounts) targets.push_back(mount.target);
  return targets;
}

TEST(ImagePrograms, HaveNothingThatTheyDoNotName) {
  const runtime::SandboxSpec spec = AddProgram(Program(), Root());
  runtime::SandboxSpec expected = Root();
  expected.argv = {"python3", "-"};
  expected.mounts.mounts.push_back({"/in", runtime::StorePath{"a"}});
  EXPECT_EQ(spec, expected);
  EXPECT_EQ(spec.network, runtime::Network::kNone);
  EXPECT_EQ(spec.privilege, runtime::Privilege::kNone);
  EXPECT_EQ(spec.uid, 1000u);
}

TEST(ImagePrograms, ACompleteEnvironmentTakesNothingFromTheImage) {
  ImageProgram program = Program();
  program.command.environment = {{"PATH", "/bin"}};
  EXPECT_THAT(AddProgram(program, Root()).environment, ElementsAre(Pair("PATH", "/bin")));
}

TEST(ImagePrograms, PackagesComeFirstOnThePath) {
  ImageProgram program = Program();
  program.packages = runtime::Mount{"/env", runtime::StorePath{"b"}};
  const runtime::SandboxSpec spec = AddProgram(program, Root());
  EXPECT_THAT(TargetsOf(spec), ElementsAre("/", "/env", "/in"));
  EXPECT_EQ(spec.environment.front().second, "/env/bin:/usr/bin");
}

TEST(ImagePrograms, LimitsOfTheirOwnBoundMemoryAndDisk) {
  ImageProgram program = Program();
  program.limits = OwnLimits{.memory = 1 << 20, .timeout = 5};
  const runtime::SandboxSpec spec = AddProgram(program, Root());
  EXPECT_EQ(spec.limits.memory, uint64_t{1} << 20);
  EXPECT_EQ(spec.scratch_bytes, uint64_t{1} << 19);
}

TEST(ImagePrograms, AGateIsTheirWholeNetwork) {
  ImageProgram program = Program();
  program.network = static_cast<const IndexGate*>(nullptr);
  program.user = 0;
  const runtime::SandboxSpec spec = AddProgram(program, Root());
  EXPECT_EQ(spec.network, runtime::Network::kProxied);
  EXPECT_EQ(std::pair(spec.uid, spec.gid), std::pair(0u, 0u));
}

TEST(ProgramEnds, SucceedWithCodeNoughtInTime) {
  ProgramEnd end;
  EXPECT_TRUE(end.Succeeded());
  end.timed_out = true;
  EXPECT_FALSE(end.Succeeded());
  end.timed_out = false;
  end.code = 1;
  EXPECT_FALSE(end.Succeeded());
  end.code = 0;
  end.end = runtime::Outcome::End::kSignalled;
  EXPECT_FALSE(end.Succeeded());
}

}  // namespace
}  // namespace rundlet::engine
