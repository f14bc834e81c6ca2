// Starting a program and how it ends: exit codes, signals, and the words for what cannot be
// started.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

#include "base/fs.h"
#include "sandbox_test.h"

namespace rundlet::runtime {
namespace {

using base::UniqueFd;

class Program : public SandboxTest {};

std::string Rendered(const std::unique_ptr<base::Error>& error) { return error->Render(); }

int ExitCodeOf(const std::unique_ptr<base::Error>& error) {
  const auto* program = dynamic_cast<const ProgramError*>(error.get());
  return program != nullptr ? program->exit_code() : -1;
}

TEST_F(Program, ExitCodesPassThrough) {
  for (const int code : {0, 1, 42, 125, 126, 127, 128, 255}) {
    const Outcome outcome = Run(Spec({"exit", std::to_string(code)})).outcome;
    EXPECT_EQ(outcome.end, Outcome::End::kExited);
    EXPECT_EQ(outcome.code, code);
  }
}

TEST_F(Program, SignalsPassThrough) {
  for (const int number : {SIGTERM, SIGKILL, SIGSEGV, SIGABRT, SIGINT, SIGPIPE, SIGRTMAX}) {
    const Outcome outcome = Run(Spec({"raise", std::to_string(number)})).outcome;
    EXPECT_EQ(outcome.end, Outcome::End::kSignalled);
    EXPECT_EQ(outcome.code, number);
  }
}

TEST_F(Program, ArgumentsArriveAsTheyAre) {
  EXPECT_EQ(Run(Spec({"echo", "", "a b", "-x", "\xff", "$HOME"})).output,
            "\na b\n-x\n\xff\n$HOME\n");
}

TEST_F(Program, TheOutcomeHasUsageAndStageTimes) {
  const Outcome outcome = Run(Spec({"facts"})).outcome;
  EXPECT_GT(outcome.peak_memory, 64u << 10);
  EXPECT_LT(outcome.peak_memory, 64u << 20);
  int64_t last = 0;
  for (size_t stage = 0; stage <= static_cast<size_t>(Stage::kInit); ++stage) {
    if (static_cast<Stage>(stage) == Stage::kTerminal) {
      EXPECT_EQ(outcome.times[stage], 0) << "it has none";
      continue;
    }
    EXPECT_GE(outcome.times[stage], last) << NameOf(static_cast<Stage>(stage));
    EXPECT_GT(outcome.times[stage], 0) << NameOf(static_cast<Stage>(stage));
    last = outcome.times[stage];
  }
  EXPECT_GE(outcome.ended_at, last);
}

TEST_F(Program, IsSearchedInPath) {
  SandboxSpec spec = Spec({"exit", "3"});
  spec.argv.front() = "probe";
  EXPECT_EQ(Run(spec).outcome.code, 3) << "the default search path has /bin";
  spec.environment = {{"PATH", "relative:/nowhere:/bin"}};
  EXPECT_EQ(Run(spec).outcome.code, 3);
  spec.cwd = "/bin";
  for (const char* path : {"", "bin", ".", "/usr"}) {
    spec.environment = {{"PATH", path}};
    EXPECT_EQ(ExitCodeOf(StartFailure(spec)), 127) << path;
  }
}

TEST_F(Program, ThatIsAbsentOrCannotRunIsSaidInWords) {
  const auto failure = [this](const std::string& program) {
    SandboxSpec spec = Spec({});
    spec.argv = {program};
    return StartFailure(spec);
  };
  EXPECT_EQ(ExitCodeOf(failure("/bin/absent")), 127);
  EXPECT_EQ(Rendered(failure("/bin/absent")),
            "error: starting `/bin/absent` in a sandbox\n"
            "caused by: there is no such program in the image\n");
  EXPECT_EQ(ExitCodeOf(failure("absent")), 127);
  EXPECT_EQ(ExitCodeOf(failure("/text/x")), 127);
  EXPECT_EQ(ExitCodeOf(failure("/script")), 126);
  EXPECT_EQ(Rendered(failure("/script")),
            "error: starting `/script` in a sandbox\ncaused by: permission denied\n");
  EXPECT_EQ(ExitCodeOf(failure("/text")), 126);
  EXPECT_EQ(ExitCodeOf(failure("/usr")), 126);
}

TEST_F(Program, WorkingDirectoryIsChecked) {
  state_->AddDirectory("image/closed", 0700);
  const auto failure = [this](const std::string& cwd) {
    SandboxSpec spec = Spec({"facts"});
    spec.cwd = cwd;
    return Rendered(StartFailure(spec));
  };
  const std::string attempted = "error: starting `/bin/probe` in a sandbox\ncaused by: ";
  EXPECT_EQ(failure("/absent"),
            attempted + "working directory `/absent`: no such file or directory\n");
  EXPECT_EQ(failure("/bin/probe"), attempted + "working directory `/bin/probe`: not a directory\n");
  EXPECT_EQ(failure("/closed"), attempted + "working directory `/closed`: permission denied\n");
  // A descriptor of the launcher, of init or of the program is no way out of the root.
  for (int fd = 0; fd < 64; ++fd) {
    EXPECT_NE(failure(fmt::format("/proc/self/fd/{}", fd)), "error: it started\n") << fd;
    EXPECT_NE(failure(fmt::format("/proc/1/fd/{}", fd)), "error: it started\n") << fd;
  }
  EXPECT_NE(failure("/proc/1/cwd"), "error: it started\n");
  EXPECT_NE(failure("/proc/1/root"), "error: it started\n");
}

TEST_F(Program, ByDescriptorNeedsNoFileInside) {
  const UniqueFd probe = base::OpenHostPath(getenv("RUNDLET_PROBE"), O_PATH);
  SandboxSpec spec = Spec({});
  spec.mounts.mounts = {{"/", Skeleton{}}, {"/proc", Proc{}}};
  spec.argv = {"probe", "exit", "9"};
  spec.program_by_descriptor = true;
  EXPECT_EQ(Run(spec, {.program = probe.get()}).outcome.code, 9);
  spec.argv = {"probe", "facts"};
  EXPECT_EQ(Run(spec, {.program = probe.get()}).facts()["fds"], "0 1 2 ");
  // The host's file, seen as the running program, cannot be written.
  spec.uid = spec.gid = 0;
  spec.argv = {"probe", "open", "/proc/self/exe", "/proc/1/exe", "/proc/2/exe"};
  EXPECT_EQ(Run(spec, {.program = probe.get()}).output,
            "/proc/self/exe=EACCES\n/proc/1/exe=EACCES\n/proc/2/exe=EACCES\n");
}

TEST_F(Program, ByDescriptorMustMatchTheSpec) {
  SandboxSpec spec = Spec({"exit", "9"});
  const UniqueFd probe = base::OpenHostPath(getenv("RUNDLET_PROBE"), O_PATH);
  EXPECT_EQ(StartFailure(spec, {.program = probe.get()})->fault(), base::Fault::kBug);
  spec.program_by_descriptor = true;
  EXPECT_EQ(StartFailure(spec)->fault(), base::Fault::kBug);
}

TEST_F(Program, TooManyDescriptorsAreRefused) {
  const UniqueFd file = base::MemoryFile("file", "");
  EXPECT_EQ(Run(Spec({"exit", "4"}), {.files = std::vector<int>(246, file.get())}).outcome.code, 4);
  EXPECT_EQ(
      Rendered(StartFailure(Spec({"exit", "4"}), {.files = std::vector<int>(247, file.get())})),
      "error: starting a sandbox for `/bin/probe`\n"
      "caused by: it needs 254 descriptors and one message carries 253\n");
}

TEST_F(Program, WhatCannotBeMountedIsNamed) {
  const auto failure = [this](Mount mount) {
    SandboxSpec spec = Spec({"facts"});
    spec.mounts.mounts.push_back(std::move(mount));
    return Rendered(StartFailure(spec));
  };
  const auto expected = [](const std::string& target, const std::string& why) {
    return fmt::format(
        "error: starting a sandbox for `/bin/probe`\ncaused by: mounting `{}`\ncaused by: {}\n",
        target, why);
  };
  EXPECT_EQ(failure({"/env", Layers{{"absent"}}}), expected("/env", "no such file or directory"));
  EXPECT_EQ(failure({"/env", Layers{{"skeleton", "absent"}}}),
            expected("/env", "no such file or directory"));
  EXPECT_EQ(failure({"/env", Layers{{"skeleton", "image/secret"}}}),
            expected("/env", "not a directory"));
  EXPECT_EQ(failure({"/work", StorePath{"absent"}}),
            expected("/work", "no such file or directory"));
  EXPECT_EQ(failure({"/work", HandedMount{0}}), expected("/work", "bad file descriptor"));
  EXPECT_EQ(failure({"/bin/probe/x", Scratch{}}), expected("/bin/probe/x", "not a directory"));
  SandboxSpec spec = Spec({"facts"});
  std::get<Layers>(spec.mounts.mounts.front().source).paths.push_back("absent");
  EXPECT_EQ(Rendered(StartFailure(spec)), expected("/", "no such file or directory"));
  // A read-only root has no place for a mount point that it lacks.
  std::get<Layers>(spec.mounts.mounts.front().source) = {{"skeleton", "image"}, true};
  spec.mounts.mounts.push_back({"/absent", Scratch{}});
  EXPECT_EQ(Rendered(StartFailure(spec)), expected("/absent", "read-only file system"));
  EXPECT_EQ(Run(Spec({"exit", "5"})).outcome.code, 5) << "the launcher goes on after failures";
}

TEST_F(Program, SeveralThreadsStartSandboxes) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([this, thread, &wrong] {
      for (int i = 0; i < 10; ++i) {
        const int code = thread * 10 + i;
        if (Run(Spec({"exit", std::to_string(code)})).outcome.code != code) {
          ++wrong[static_cast<size_t>(thread)];
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace rundlet::runtime
