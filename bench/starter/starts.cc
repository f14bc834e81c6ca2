#include "starts.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/fs.h"
#include "base/process.h"
#include "docker.h"
#include "engine/command/command.h"
#include "runtime/launcher.h"
#include "runtime/seccomp/filter.h"

namespace rundlet::bench {
namespace {

using base::UniqueFd;
using nlohmann::json;

constexpr int kFilterDescriptor = 100;
constexpr int kNotStarted = 127;
constexpr std::string_view kPlaceOfId = "{id}";

struct Exec {
  const char* root;  // nullptr: this process's
  char* const* argv;
  char* const* environment;
  int null;
  int filter;  // -1: none
};

// To the program that is executed next. It may have that number already, and would be closed.
bool Hand(int descriptor, int as) {
  return (descriptor == as ? fcntl(as, F_SETFD, 0) : dup2(descriptor, as)) >= 0;
}

// posix_spawn cannot change the root. The child shares our memory until it executes.
__attribute__((noinline)) pid_t VforkAndExec(const Exec& exec) {
  const pid_t pid = vfork();
  if (pid != 0) return pid;
  if ((exec.root != nullptr && (chroot(exec.root) < 0 || chdir("/") < 0)) ||
      dup2(exec.null, STDIN_FILENO) < 0 || dup2(exec.null, STDOUT_FILENO) < 0 ||
      (exec.filter >= 0 && !Hand(exec.filter, kFilterDescriptor))) {
    _exit(kNotStarted);
  }
  execvpe(exec.argv[0], exec.argv, exec.environment);
  _exit(kNotStarted);
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

class Program : public Start {
 public:
  explicit Program(const json& description)
      : argv_(description.at("argv").get<std::vector<std::string>>()),
        root_(description.value("root", "")),
        filter_(description.value("filter", false)),
        null_(base::OpenHostPath("/dev/null", O_RDWR)) {
    const auto variables = description.at("environment").get<std::map<std::string, std::string>>();
    for (const auto& [name, value] : variables)
      environment_.push_back(fmt::format("{}={}", name, value));
  }

  Times Once() override {
    std::vector<std::string> words = argv_;
    const std::string id = fmt::format("rundlet-bench-{}-{}", getpid(), ++count_);
    for (std::string& word : words) {
      if (const size_t at = word.find(kPlaceOfId); at != word.npos)
        word.replace(at, kPlaceOfId.size(), id);
    }
    std::vector<std::string> environment = environment_;
    const std::vector<char*> argv = Pointers(words);
    const std::vector<char*> variables = Pointers(environment);
    const std::string_view bytes(reinterpret_cast<const char*>(runtime::kFilter),
                                 runtime::kFilterLength * sizeof(sock_filter));
    Times times{.started = base::MonotonicNanoseconds()};
    const UniqueFd filter = filter_ ? base::MemoryFile("filter", bytes) : UniqueFd();
    const pid_t pid = VforkAndExec({.root = root_.empty() ? nullptr : root_.c_str(),
                                    .argv = argv.data(),
                                    .environment = variables.data(),
                                    .null = null_.get(),
                                    .filter = filter.get()});
    if (pid < 0) base::ThrowErrno("starting `{}`", words.front());
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
      if (errno != EINTR) base::ThrowErrno("waiting for `{}`", words.front());
    }
    times.ended = base::MonotonicNanoseconds();
    if (status == 0) return times;
    throw base::Error(base::Fault::kHost, fmt::format("running `{}`", words.front()))
        .Because(fmt::format("its wait status is {}", status));
  }

 private:
  const std::vector<std::string> argv_;
  const std::string root_;
  const bool filter_;
  const UniqueFd null_;
  std::vector<std::string> environment_;
  std::atomic<int> count_ = 0;
};

class Sandboxed : public Start {
 public:
  Sandboxed(engine::Engine& engine, const json& description)
      : engine_(engine),
        command_(Prepare(engine, description)),
        spec_(runtime::CheckSpec(command_.spec)),
        null_(base::OpenHostPath("/dev/null", O_RDWR)) {}

  Times Once() override {
    Times times{.started = base::MonotonicNanoseconds()};
    runtime::Sandbox sandbox = engine_.launcher().Start({.spec = &spec_,
                                                         .standard_input = null_.get(),
                                                         .standard_output = null_.get(),
                                                         .standard_error = STDERR_FILENO});
    const runtime::Outcome outcome = sandbox.Wait(nullptr);
    times.ended = base::MonotonicNanoseconds();
    times.stages = outcome.times;
    times.program_ended = outcome.ended_at;
    if (outcome.end == runtime::Outcome::End::kExited && outcome.code == 0) return times;
    throw base::Error(base::Fault::kHost,
                      fmt::format("running `{}` in a sandbox", spec_.value().argv.front()))
        .Because(fmt::format("it ended with {}", outcome.code));
  }

 private:
  static engine::Command Prepare(engine::Engine& engine, const json& description) {
    engine::CommandRequest request;
    request.image = description.at("image").get<std::string>();
    request.requirements.texts = description.value("packages", std::vector<std::string>());
    request.command = description.at("argv").get<std::vector<std::string>>();
    engine::EventBus quiet(nullptr);
    return engine::PrepareCommand(engine, std::move(request), quiet, nullptr);
  }

  engine::Engine& engine_;
  const engine::Command command_;
  const runtime::CheckedSpec spec_;
  const UniqueFd null_;
};

}  // namespace

std::unique_ptr<Start> MakeStart(engine::Engine& engine, const json& description) {
  if (description.contains("program")) return std::make_unique<Program>(description.at("program"));
  if (description.contains("docker")) return MakeDockerStart(description.at("docker"));
  return std::make_unique<Sandboxed>(engine, description.at("sandbox"));
}

}  // namespace rundlet::bench
