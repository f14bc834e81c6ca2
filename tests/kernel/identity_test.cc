// Who the program is: namespaces, ids, capabilities, limits, and what it was given.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fs.h"
#include "sandbox_test.h"

namespace rundlet::runtime {
namespace {

using base::UniqueFd;

class Identity : public SandboxTest {};

std::string NamespaceOfHost(const std::string& name) {
  char target[64] = "";
  const std::string path = "/proc/self/ns/" + name;
  EXPECT_GT(readlink(path.c_str(), target, sizeof target - 1), 0);
  return target;
}

TEST_F(Identity, EveryNamespaceIsItsOwn) {
  FactMap facts = Run(Spec({"facts"})).facts();
  for (const char* name : {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}) {
    const std::string inside = facts[std::string("ns.") + name];
    EXPECT_TRUE(inside.starts_with(std::string(name) + ":[")) << inside;
    EXPECT_NE(inside, NamespaceOfHost(name));
  }
  EXPECT_EQ(facts["pid"], "2");
  EXPECT_EQ(facts["ppid"], "1");
  EXPECT_EQ(facts["session"], "1");
}

TEST_F(Identity, TheHostsNetworkOnlyWhenAskedFor) {
  SandboxSpec spec = Spec({"facts"});
  spec.network = Network::kHost;
  EXPECT_EQ(Run(spec).facts()["ns.net"], NamespaceOfHost("net"));
}

TEST_F(Identity, IdsAreUnprivilegedAndWithoutGroups) {
  SandboxSpec spec = Spec({"facts"});
  spec.uid = 1234;
  spec.gid = 4321;
  FactMap facts = Run(spec).facts();
  EXPECT_EQ(facts["self.Uid"], "1234\t1234\t1234\t1234");
  EXPECT_EQ(facts["self.Gid"], "4321\t4321\t4321\t4321");
  EXPECT_EQ(facts["self.Groups"], "");
}

TEST_F(Identity, NoCapabilityInAnySet) {
  for (const uint32_t uid : {0u, 1000u}) {
    SandboxSpec spec = Spec({"facts"});
    spec.uid = spec.gid = uid;
    FactMap facts = Run(spec).facts();
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
      EXPECT_EQ(facts[std::string("self.") + set], "0000000000000000") << set << " of uid " << uid;
    }
    EXPECT_EQ(facts["self.NoNewPrivs"], "1");
    EXPECT_EQ(facts["self.Seccomp"], "2");
    EXPECT_EQ(facts["self.Seccomp_filters"], "1");
    // Every lock set, and keep-caps off.
    EXPECT_EQ(facts["securebits"], "ef");
  }
}

TEST_F(Identity, SetuidFilesOfAnImageGiveNothing) {
  const base::UniqueFd probe = base::OpenAt(state_->dir(), "image/bin/probe", O_RDONLY);
  const std::string program = base::ReadFd(probe.get(), 64 << 20, "the probe");
  state_->AddFile("image/bin/setuid", program, 06755);
  SandboxSpec spec = Spec({"facts"});
  spec.argv.front() = "/bin/setuid";
  FactMap facts = Run(spec).facts();
  EXPECT_EQ(facts["self.Uid"], "1000\t1000\t1000\t1000");
  EXPECT_EQ(facts["self.Gid"], "1000\t1000\t1000\t1000");
  EXPECT_EQ(facts["self.CapEff"], "0000000000000000");
}

TEST_F(Identity, AnUnpackerMayChangeOwnersAndNothingElse) {
  SandboxSpec spec = Spec({"facts"});
  spec.uid = spec.gid = 0;
  spec.privilege = Privilege::kUnpacker;
  FactMap facts = Run(spec).facts();
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_EQ(facts[std::string("self.") + set], "000000000000001b") << set;
  }
  EXPECT_EQ(facts["self.NoNewPrivs"], "1");
  EXPECT_EQ(facts["self.Seccomp"], "2");
}

TEST_F(Identity, InitIsFilteredAndClosedToTheProgram) {
  for (const uint32_t uid : {0u, 1000u}) {
    SandboxSpec spec = Spec({"facts"});
    spec.uid = spec.gid = uid;
    FactMap facts = Run(spec).facts();
    EXPECT_EQ(facts["init.exe"], "EACCES");
    EXPECT_EQ(facts["init.environ"], "EACCES");
    EXPECT_EQ(facts["init.Uid"], "0\t0\t0\t0");
  }
}

TEST_F(Identity, DescriptorsAreTheStandardThreeAndTheGivenFiles) {
  const FactMap plain = Run(Spec({"facts"})).facts();
  EXPECT_EQ(plain.at("fds"), "0 1 2 ");
  EXPECT_FALSE(plain.contains("fd.high"));
  const UniqueFd first = base::MemoryFile("first", "1");
  const UniqueFd second = base::MemoryFile("second", "2");
  const FactMap more = Run(Spec({"facts"}), {.files = {first.get(), second.get()}}).facts();
  EXPECT_EQ(more.at("fds"), "0 1 2 3 4 ");
}

TEST_F(Identity, FilesComeInOrderAndStandardInputIsConnected) {
  const UniqueFd input = base::MemoryFile("input", "from outside\n");
  EXPECT_EQ(Run(Spec({"copy"}), {.input = input.get()}).output, "from outside\n");
  std::vector<UniqueFd> files;
  std::vector<int> numbers;
  std::string expected;
  SandboxSpec spec = Spec({"read"});
  for (int i = 0; i < 100; ++i) {
    const std::string text = fmt::format("file {}\n", i);
    files.push_back(base::MemoryFile("file", text));
    numbers.push_back(files.back().get());
    spec.argv.push_back(fmt::format("/proc/self/fd/{}", 3 + i));
    expected += text;
  }
  EXPECT_EQ(Run(spec, {.files = numbers}).output, expected);
}

TEST_F(Identity, TheEnvironmentIsExactlyTheGivenOne) {
  ASSERT_EQ(setenv("RUNDLET_CANARY", "from the host", 1), 0);
  SandboxSpec spec = Spec({"facts"});
  const auto variables = [](const FactMap& facts) {
    std::string text;
    for (const auto& [key, value] : facts) {
      if (key.starts_with("env.")) text += key.substr(4) + "=" + value + "\n";
    }
    return text;
  };
  EXPECT_EQ(variables(Run(spec).facts()), "");
  spec.environment = {{"B", "2=2"}, {"A", ""}};
  EXPECT_EQ(variables(Run(spec).facts()), "A=\nB=2=2\n");
  unsetenv("RUNDLET_CANARY");
}

TEST_F(Identity, DirectoryUmaskAndHostName) {
  SandboxSpec spec = Spec({"facts"});
  spec.hostname = "a-step";
  spec.cwd = "/usr/lib";
  const mode_t before = umask(077);
  FactMap facts = Run(spec).facts();
  umask(before);
  EXPECT_EQ(facts["hostname"], "a-step");
  EXPECT_EQ(facts["cwd"], "/usr/lib");
  EXPECT_EQ(facts["umask"], "22");
  EXPECT_EQ(facts["terminal"], "ENXIO");
}

TEST_F(Identity, LimitsAreSet) {
  FactMap facts = Run(Spec({"facts"})).facts();
  rlimit files;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  EXPECT_EQ(facts["limit.core"], "0 0");
  EXPECT_EQ(facts["limit.nproc"], fmt::format("{0} {0}", kDefaultPids + 1));
  EXPECT_EQ(facts["limit.nofile"],
            fmt::format("1024 {}", std::min<rlim_t>(files.rlim_max, 65'536)));
}

}  // namespace
}  // namespace rundlet::runtime
