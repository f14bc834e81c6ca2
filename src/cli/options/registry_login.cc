#include "cli/options/registry_login.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/fs.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/terminal/interrupt.h"
#include "rootfs/images/registry_config.h"

namespace rundlet::cli {
namespace {

constexpr size_t kLoginFileLimit = size_t{4} << 20;
constexpr size_t kHelperAnswerLimit = size_t{1} << 20;
constexpr int kHelperMilliseconds = 30'000;

std::string LoginVariable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Those that may be there, the strongest first.
std::vector<std::string> LoginFiles() {
  if (const std::string named = LoginVariable("REGISTRY_AUTH_FILE"); !named.empty()) return {named};
  const std::string home = LoginVariable("HOME");
  const auto below = [](const std::string& folder, const char* rest) {
    return folder.empty() ? std::string() : folder + rest;
  };
  const std::string runtime = LoginVariable("XDG_RUNTIME_DIR");
  const std::string config = LoginVariable("XDG_CONFIG_HOME");
  const std::string docker = LoginVariable("DOCKER_CONFIG");
  return {below(runtime, "/containers/auth.json"),
          below(config.empty() ? below(home, "/.config") : config, "/containers/auth.json"),
          below(docker.empty() ? below(home, "/.docker") : docker, "/config.json")};
}

std::optional<std::string> ReadLoginFile(const std::string& path) {
  if (path.empty()) return std::nullopt;
  const base::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    base::ThrowErrno("opening `{}`", path);
  }
  return base::ReadFd(file.get(), kLoginFileLimit, fmt::format("`{}`", path));
}

std::string FindOnPath(const std::string& program) {
  for (const std::string& folder : base::Split(LoginVariable("PATH"), ':')) {
    const std::string path = folder + "/" + program;
    if (!folder.empty() && access(path.c_str(), X_OK) == 0) return path;
  }
  throw base::Error(base::Fault::kHost, fmt::format("asking credential helper `{}`", program))
      .Because("there is no such program on PATH");
}

std::vector<std::string> OwnEnvironment() {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
  return variables;
}

// What it prints, until it closes its output.
std::string ReadHelper(int output, const std::string& program) {
  std::string text;
  char buffer[4096];
  while (base::WaitFor(output, POLLIN, &Interrupted(), kHelperMilliseconds)) {
    const ssize_t count = read(output, buffer, sizeof buffer);
    if (count < 0 && errno != EINTR) base::ThrowErrno("reading what `{}` says", program);
    if (count == 0) return text;
    if (count > 0) text.append(buffer, static_cast<size_t>(count));
    if (text.size() > kHelperAnswerLimit) break;
  }
  throw base::Error(base::Fault::kHost, fmt::format("asking credential helper `{}`", program))
      .Because("it does not answer in time, or says too much");
}

rootfs::RegistryLogin AskHelper(const rootfs::CredentialHelper& helper, const std::string& server) {
  const std::string program = "docker-credential-" + helper.name;
  const base::UniqueFd input = base::MemoryFile("server", server);
  base::Pipe output = base::MakePipe();
  const base::Child child =
      base::Spawn({.path = FindOnPath(program),
                   .argv = {program, "get"},
                   .descriptors = {{0, input.get()}, {1, output.write.get()}, {2, STDERR_FILENO}},
                   .environment = OwnEnvironment()});
  output.write.reset();
  std::string answer;
  int status = 0;
  try {
    answer = ReadHelper(output.read.get(), program);
  } catch (...) {
    kill(child.pid, SIGKILL);
    waitpid(child.pid, &status, 0);
    throw;
  }
  while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return rootfs::ParseHelperAnswer(answer, program);
  }
  // Every helper says so in these words when it has nothing.
  if (answer.find("credentials not found") != answer.npos) return {};
  throw base::Error(base::Fault::kHost, fmt::format("asking credential helper `{}`", program))
      .Because(fmt::format("it failed: {}", base::Printable(base::Trim(answer.substr(0, 300)))));
}

}  // namespace

rootfs::RegistryLogin FindRegistryLogin(const rootfs::Reference& reference) {
  for (const std::string& path : LoginFiles()) {
    const std::optional<std::string> text = ReadLoginFile(path);
    if (!text) continue;
    const rootfs::LoginSource source = rootfs::FindLogin(*text, path, reference);
    if (const auto* login = std::get_if<rootfs::RegistryLogin>(&source)) return *login;
    if (const auto* helper = std::get_if<rootfs::CredentialHelper>(&source)) {
      return AskHelper(*helper, rootfs::CredentialServer(reference));
    }
  }
  return {};
}

}  // namespace rundlet::cli
