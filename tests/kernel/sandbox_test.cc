#include "sandbox_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>

#include "base/cancel.h"
#include "base/fs.h"
#include "base/text.h"

namespace rundlet::runtime {
namespace {

using base::UniqueFd;

constexpr size_t kOutputLimit = size_t{16} << 20;
// For events that come in milliseconds; a test that reaches it has failed.
constexpr int kPatienceMilliseconds = 60'000;

std::string Content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string WhatIs(const std::string& name) {
  char target[512];
  const std::string path = "/proc/self/fd/" + name;
  const ssize_t length = readlink(path.c_str(), target, sizeof target);
  return length < 0 ? "" : std::string(target, static_cast<size_t>(length));
}

std::vector<pid_t> AllProcesses() {
  std::vector<pid_t> pids;
  const UniqueFd proc = base::OpenHostPath("/proc", O_RDONLY | O_DIRECTORY);
  for (const base::DirEntry& entry : base::ListDir(proc.get())) {
    const pid_t pid = atoi(entry.name.c_str());
    if (pid > 0) pids.push_back(pid);
  }
  return pids;
}

std::string ReadBack(int fd) {
  if (lseek(fd, 0, SEEK_SET) < 0) base::ThrowErrno("rewinding a sandbox's output");
  return base::ReadFd(fd, kOutputLimit, "a sandbox's output");
}

}  // namespace

FactMap ParseFacts(const std::string& text) {
  FactMap facts;
  for (const std::string& line : base::Split(text, '\n')) {
    const size_t equals = line.find('=');
    if (equals != std::string::npos) facts[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return facts;
}

Holdings SandboxTest::Held() {
  Holdings held;
  held.mounts = base::Split(Content("/proc/self/mountinfo"), '\n');
  const UniqueFd self = base::OpenHostPath("/proc/self/fd", O_RDONLY | O_DIRECTORY);
  for (const base::DirEntry& entry : base::ListDir(self.get())) {
    const std::string what = WhatIs(entry.name);
    // The two that this look at them opens itself.
    if (what.starts_with("/proc/") && what.ends_with("/fd")) continue;
    if (!what.empty()) held.descriptors.push_back(entry.name + " " + what);
  }
  return held;
}

std::vector<pid_t> SandboxTest::ProcessesOf(const IdRange& ids) {
  std::vector<pid_t> found;
  for (const pid_t pid : AllProcesses()) {
    struct stat info;
    const std::string path = fmt::format("/proc/{}/task", pid);
    if (stat(path.c_str(), &info) < 0) continue;
    std::istringstream status(Content(fmt::format("/proc/{}/status", pid)));
    std::string line;
    while (std::getline(status, line)) {
      if (!line.starts_with("Uid:")) continue;
      const auto uid = static_cast<uint32_t>(std::strtoul(line.c_str() + 4, nullptr, 10));
      if (uid >= ids.base && uid - ids.base < ids.count) found.push_back(pid);
    }
  }
  return found;
}

void SandboxTest::SetUp() {
  ASSERT_EQ(geteuid(), 0u) << "kernel tests need root";
  // Of this process alone, so that what runs beside it is not taken for a leak.
  ids_.base += static_cast<uint32_t>(getpid() % 4096) * ids_.count;
  before_ = Held();
  state_ = std::make_unique<StateDirectory>();
  state_->AddImage();
  launcher_ = std::make_unique<Launcher>(getenv("RUNDLET_LAUNCHER"), state_->dir());
}

void SandboxTest::TearDown() {
  launcher_.reset();
  state_.reset();
  const Holdings after = Held();
  EXPECT_EQ(after.mounts, before_.mounts) << "mounts are left";
  EXPECT_EQ(after.descriptors, before_.descriptors) << "descriptors are left";
  siginfo_t info{};
  const int child = waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL);
  EXPECT_TRUE(child < 0 && errno == ECHILD) << "a child is left: " << info.si_pid;
  EXPECT_EQ(ProcessesOf(ids_), std::vector<pid_t>{}) << "processes are left";
}

SandboxSpec SandboxTest::Spec(std::vector<std::string> arguments) const {
  SandboxSpec spec;
  spec.mounts.mounts = {{"/", Layers{{"skeleton", "image"}, true, true}},
                        {"/proc", Proc{ProcView::kFull}},
                        {"/dev", Devices{}},
                        {"/tmp", Scratch{}}};
  spec.argv = std::move(arguments);
  spec.argv.insert(spec.argv.begin(), "/bin/probe");
  spec.ids = ids_;
  spec.scratch_bytes = 16 << 20;
  return spec;
}

SandboxTest::Finished SandboxTest::Run(const SandboxSpec& spec, const Extras& extras) {
  const CheckedSpec checked = CheckSpec(spec);
  const UniqueFd output = base::MemoryFile("output", "");
  const UniqueFd error = base::MemoryFile("error", "");
  const UniqueFd null = base::OpenHostPath("/dev/null", O_RDONLY);
  Sandbox sandbox =
      launcher_->Start({.spec = &checked,
                        .standard_input = extras.input >= 0 ? extras.input : null.get(),
                        .standard_output = output.get(),
                        .standard_error = error.get(),
                        .files = extras.files,
                        .mounts = extras.mounts,
                        .program = extras.program});
  Finished finished;
  finished.outcome = sandbox.Wait(nullptr);
  finished.output = ReadBack(output.get());
  finished.error = ReadBack(error.get());
  return finished;
}

SandboxTest::Running SandboxTest::StartUntil(const SandboxSpec& spec, const std::string& line) {
  const CheckedSpec checked = CheckSpec(spec);
  const UniqueFd null = base::OpenHostPath("/dev/null", O_RDWR);
  base::Pipe pipe = base::MakePipe();
  Running running;
  running.sandbox.emplace(launcher_->Start({.spec = &checked,
                                            .standard_input = null.get(),
                                            .standard_output = pipe.write.get(),
                                            .standard_error = null.get()}));
  pipe.write.reset();
  std::string said;
  char byte;
  while (said != line + "\n" && read(pipe.read.get(), &byte, 1) == 1) said += byte;
  EXPECT_EQ(said, line + "\n");
  running.output = std::move(pipe.read);
  return running;
}

std::unique_ptr<base::Error> SandboxTest::StartFailure(const SandboxSpec& spec,
                                                       const Extras& extras) {
  try {
    Run(spec, extras);
  } catch (const ProgramError& error) {
    return std::make_unique<ProgramError>(error);
  } catch (const base::Error& error) {
    return std::make_unique<base::Error>(error);
  }
  return std::make_unique<base::Error>(base::Fault::kBug, "it started");
}

pid_t SandboxTest::LauncherProcess() const {
  for (const pid_t pid : AllProcesses()) {
    const std::string status = Content(fmt::format("/proc/{}/status", pid));
    const std::string parent = fmt::format("\nPPid:\t{}\n", getpid());
    if (status.starts_with("Name:\trundlet-launch\n") && status.find(parent) != status.npos &&
        status.find("\nUid:\t0\t") != status.npos) {
      return pid;
    }
  }
  return -1;
}

void InChild(const std::function<void()>& body) {
  const UniqueFd report = base::MemoryFile("report", "");
  const pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
      body();
    } catch (const base::Error& error) {
      ADD_FAILURE() << error.Render();
    }
    const auto* result = ::testing::UnitTest::GetInstance()->current_test_info()->result();
    for (int i = 0; i < result->total_part_count(); ++i) {
      if (result->GetTestPartResult(i).failed()) {
        base::WriteFd(report.get(), result->GetTestPartResult(i).message(), "a report");
      }
    }
    _exit(result->Failed() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0) << ReadBack(report.get());
}

void AwaitEnd(int pidfd) {
  EXPECT_TRUE(base::WaitFor(pidfd, POLLIN, nullptr, kPatienceMilliseconds));
}

}  // namespace rundlet::runtime
