#include "contenders.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/fs.h"
#include "runtime/launcher.h"
#include "runtime/seccomp/filter.h"

namespace rundlet::bench {
namespace {

using base::UniqueFd;
using runtime::Layers;
using runtime::StageTimes;

// posix_spawn is vfork + exec; `kept` is a descriptor the program is to inherit.
void SpawnAndWait(const std::vector<std::string>& command, int kept = -1) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  char* environment[] = {const_cast<char*>("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // A duplicate onto itself clears close-on-exec in the child.
  if (kept >= 0) posix_spawn_file_actions_adddup2(&actions, kept, kept);
  pid_t pid = -1;
  const int error =
      posix_spawn(&pid, arguments[0], &actions, nullptr, arguments.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw base::ErrnoError(error, fmt::format("starting `{}`", command.front()));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) base::ThrowErrno("waiting for `{}`", command.front());
  }
  if (status != 0) {
    throw base::Error(base::Fault::kHost, fmt::format("running `{}`", command.front()))
        .Because(fmt::format("wait status {}", status));
  }
}

std::optional<std::string> Installed(const std::string& name) {
  for (const char* directory : {"/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/"}) {
    const std::string path = directory + name;
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return std::nullopt;
}

class Bare : public Contender {
 public:
  explicit Bare(const Setting& setting) : program_(setting.program) {}
  std::string name() const override { return "vfork+exec"; }
  std::optional<StageTimes> RunOnce() override {
    SpawnAndWait({program_});
    return std::nullopt;
  }

 private:
  std::string program_;
};

class Rundlet : public Contender {
 public:
  explicit Rundlet(const Setting& setting)
      : launcher_(setting.launcher,
                  base::OpenHostPath(setting.state, O_RDONLY | O_DIRECTORY).get()),
        null_(base::OpenHostPath("/dev/null", O_RDWR)),
        spec_(runtime::CheckSpec(SpecFor(setting))) {}
  std::string name() const override { return "rundlet"; }
  std::optional<StageTimes> RunOnce() override {
    runtime::Sandbox sandbox = launcher_.Start({.spec = &spec_,
                                                .standard_input = null_.get(),
                                                .standard_output = null_.get(),
                                                .standard_error = null_.get()});
    const runtime::Outcome outcome = sandbox.Wait(nullptr);
    if (outcome.end != runtime::Outcome::End::kExited || outcome.code != 0) {
      throw base::Error(base::Fault::kBug, "running `true` in a sandbox").Because("it failed");
    }
    StageTimes times = outcome.times;
    // What the program itself took: exec, run, exit.
    times[static_cast<size_t>(runtime::Stage::kExec)] = outcome.ended_at;
    return times;
  }

 private:
  static runtime::SandboxSpec SpecFor(const Setting& setting) {
    runtime::SandboxSpec spec;
    Layers packages;
    for (int i = 0; i < setting.packages; ++i) {
      packages.paths.push_back(fmt::format("packages/{}", i));
    }
    packages.paths.push_back("skeleton");
    spec.mounts.mounts = {{"/", Layers{{"skeleton", "image"}, true, true}},
                          {"/proc", runtime::Proc{runtime::ProcView::kFull}},
                          {"/dev", runtime::Devices{}},
                          {"/tmp", runtime::Scratch{}},
                          {"/env", packages}};
    spec.argv = {"/bin/true"};
    return spec;
  }

  runtime::Launcher launcher_;
  UniqueFd null_;
  runtime::CheckedSpec spec_;
};

// The same namespaces and the same filter; its root is one bind mount instead of overlays.
class Bubblewrap : public Contender {
 public:
  Bubblewrap(std::string path, const Setting& setting)
      : path_(std::move(path)), image_(setting.state + "/root") {}
  std::string name() const override { return "bubblewrap"; }
  std::optional<StageTimes> RunOnce() override {
    const std::string_view bytes(reinterpret_cast<const char*>(runtime::kFilter),
                                 runtime::kFilterLength * sizeof(sock_filter));
    const UniqueFd filter = base::MemoryFile("filter", bytes);  // read to its end by each start
    SpawnAndWait({path_, "--unshare-all", "--die-with-parent", "--ro-bind", image_, "/", "--proc",
                  "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--seccomp",
                  std::to_string(filter.get()), "/bin/true"},
                 filter.get());
    return std::nullopt;
  }

 private:
  std::string path_;
  std::string image_;
};

// Its own default specification without a terminal; that has no system-call filter, in its favour.
class Runc : public Contender {
 public:
  Runc(std::string path, const Setting& setting)
      : path_(std::move(path)), bundle_(setting.state + "/bundle") {
    std::filesystem::create_directories(bundle_);
    SpawnAndWait({path_, "spec", "--bundle", bundle_});
    const UniqueFd dir = base::OpenHostPath(bundle_, O_RDONLY | O_DIRECTORY);
    nlohmann::json config = nlohmann::json::parse(base::ReadAt(dir.get(), "config.json", 1 << 20));
    config["process"]["terminal"] = false;
    config["process"]["args"] = {"/bin/true"};
    config["root"]["path"] = setting.state + "/root";
    base::ReplaceAt(dir.get(), "config.json", config.dump(), 0644, base::Durability::kNone);
  }
  std::string name() const override { return "runc"; }
  std::optional<StageTimes> RunOnce() override {
    SpawnAndWait({path_, "--root", bundle_ + "/state", "run", "--bundle", bundle_,
                  fmt::format("rundlet-bench-{}-{}", getpid(), ++count_)});
    return std::nullopt;
  }

 private:
  std::string path_;
  std::string bundle_;
  std::atomic<int> count_ = 0;
};

}  // namespace

void PrepareState(const Setting& setting) {
  namespace fs = std::filesystem;
  for (const char* directory :
       {"image/bin", "root/bin", "root/proc", "root/dev", "root/tmp", "root/sys", "skeleton/proc",
        "skeleton/dev", "skeleton/tmp", "skeleton/env", "skeleton/lib"}) {
    fs::create_directories(fs::path(setting.state) / directory);
  }
  for (int i = 0; i < setting.packages; ++i) {
    fs::create_directories(fs::path(setting.state) /
                           fmt::format("packages/{}/lib/package-{}", i, i));
  }
  for (const char* root : {"image", "root"}) {
    fs::copy_file(setting.program, fs::path(setting.state) / root / "bin/true");
  }
}

std::vector<std::unique_ptr<Contender>> AllContenders(const Setting& setting) {
  std::vector<std::unique_ptr<Contender>> all;
  all.push_back(std::make_unique<Bare>(setting));
  all.push_back(std::make_unique<Rundlet>(setting));
  if (const auto path = Installed("bwrap"))
    all.push_back(std::make_unique<Bubblewrap>(*path, setting));
  if (const auto path = Installed("runc")) all.push_back(std::make_unique<Runc>(*path, setting));
  return all;
}

}  // namespace rundlet::bench
