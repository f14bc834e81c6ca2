#include "engine/exec.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <limits>

#include "base/error.h"
#include "base/process.h"
#include "base/text.h"
#include "engine/environments.h"
#include "engine/host_files.h"
#include "engine/image_sandbox.h"
#include "engine/resolver.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

// Without a name, the only one whose Python will do.
rootfs::Image ChooseImage(Engine& engine, const std::string& name,
                          const std::string& requires_python) {
  if (!name.empty()) return rootfs::FindImage(engine.store(), name);
  std::vector<rootfs::Image> images = rootfs::ListImages(engine.store());
  if (images.size() > 1) {
    std::erase_if(images, [&](const rootfs::Image& image) {
      return !rootfs::PythonIsWithin(image.interpreter.version, requires_python);
    });
  }
  if (images.size() == 1) return images.front();
  const std::string of_python =
      requires_python.empty() ? "" : " with Python " + base::Printable(requires_python);
  throw Error(Fault::kInvalid, "choosing an image")
      .Because(images.empty() ? std::string("there is none") + of_python
                              : fmt::format("there are {}{}", images.size(), of_python))
      .Hint(images.empty() ? "import one with `rundlet image import NAME PATH`"
                           : "name one with --image");
}

// Places that are the sandbox's own: a mount there would replace what isolates it.
void CheckTarget(const std::string& target) {
  for (const char* reserved : {"/proc", "/sys", "/dev", "/env", "/rundlet"}) {
    const std::string below = std::string(reserved) + "/";
    if (target != reserved && !target.starts_with(below)) continue;
    throw Error(Fault::kInvalid, fmt::format("mounting at `{}`", target))
        .Because(fmt::format("`{}` belongs to the sandbox", reserved));
  }
}

// A scratch home or /tmp is mounted first; what the user asked for lies on top of it.
void AddUserMounts(runtime::SandboxSpec& spec, HandedMounts& handed,
                   const std::vector<UserMount>& mounts) {
  for (const UserMount& mount : mounts) {
    CheckTarget(mount.target);
    handed.Add(mount.source.get(), mount.target, mount.writable);
  }
  spec.mounts.mounts.insert(spec.mounts.mounts.end(), handed.mounts.begin(), handed.mounts.end());
}

// Its files belong to root: so must who writes there, root of the sandbox's own user namespace.
void MakeEnvironmentWritable(runtime::SandboxSpec& spec) {
  auto& layers = std::get<runtime::Layers>(spec.mounts.mounts.back().source);
  layers.idmapped = true;
  layers.writable = true;
  spec.uid = 0;
  spec.gid = 0;
}

std::string ScriptInside(const Script& script) { return "/rundlet/script/" + script.name; }

// `command` begins with the script's path on the host.
void UseScript(const Script& script, const ReadyEnvironment& ready, const rootfs::Image& image,
               std::vector<std::string>& command) {
  const bool with_environment = !ready.environment.lowers.empty();
  command.front() = ScriptInside(script);
  command.insert(command.begin(),
                 with_environment ? "/env/bin/python" : image.interpreter.executable);
}

constexpr int kTimedOutCode = 124;  // as timeout(1)
constexpr int64_t kGrace = 5'000'000'000;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kLongestWait = 3'600'000;  // milliseconds

// Waits for the end of a command: passes signals on, and sees to it that it ends when it has to.
class CommandWatch {
 public:
  CommandWatch(runtime::Sandbox& sandbox, std::optional<double> timeout) : sandbox_(sandbox) {
    if (timeout.has_value())
      ask_at_ = base::MonotonicNanoseconds() + static_cast<int64_t>(*timeout * 1e9);
  }

  runtime::Outcome Wait(int interrupt) {
    while (true) {
      pollfd polled[2] = {{sandbox_.pidfd(), POLLIN, 0}, {interrupt, POLLIN, 0}};
      if (poll(polled, 2, Left()) < 0 && errno != EINTR) base::ThrowErrno("waiting for a sandbox");
      if (polled[0].revents != 0) return sandbox_.Wait(nullptr);
      unsigned char number;
      if (polled[1].revents != 0 && read(interrupt, &number, 1) == 1) PassOn(number);
      ActInTime();
    }
  }
  bool timed_out() const { return timed_out_; }

 private:
  int Left() const {
    const int64_t next = std::min(ask_at_, kill_at_);
    if (next == kNever) return -1;
    const int64_t left = (next - base::MonotonicNanoseconds()) / 1'000'000 + 1;
    return static_cast<int>(std::clamp<int64_t>(left, 0, kLongestWait));
  }

  // The first Ctrl-C is the command's to handle, as at a prompt of its own.
  void PassOn(int number) {
    sandbox_.Signal(number);
    if (number != SIGINT || ++interrupts_ > 1) SetDeadline();
  }

  void SetDeadline() { kill_at_ = std::min(kill_at_, base::MonotonicNanoseconds() + kGrace); }

  void ActInTime() {
    const int64_t now = base::MonotonicNanoseconds();
    if (now >= ask_at_) {
      ask_at_ = kNever;
      timed_out_ = true;
      sandbox_.Signal(SIGTERM);
      SetDeadline();
    }
    if (now >= kill_at_) {
      kill_at_ = kNever;
      sandbox_.Signal(SIGKILL);
    }
  }

  runtime::Sandbox& sandbox_;
  int64_t ask_at_ = kNever;
  int64_t kill_at_ = kNever;
  int interrupts_ = 0;
  bool timed_out_ = false;
};

}  // namespace

ExecOutcome Exec(Engine& engine, ExecRequest request, EventBus& events,
                 const base::CancelToken* cancel, int interrupt) {
  ExecOutcome result;
  result.requested_at = base::MonotonicNanoseconds();
  engine.launcher().Prepare();
  CheckLimits(engine, request.limits, "this command");
  rootfs::ScriptMetadata metadata;
  if (request.script.has_value()) {
    metadata = ReadScript(engine, *request.script, cancel);
    auto& texts = request.requirements.texts;
    texts.insert(texts.end(), metadata.dependencies.begin(), metadata.dependencies.end());
  }
  const rootfs::Image image = ChooseImage(engine, request.image, metadata.requires_python);
  if (request.script.has_value()) CheckPython(*request.script, metadata, image);
  const ImageSandbox sandbox(engine, image);
  runtime::SandboxSpec spec = sandbox.Spec(runtime::ProcView::kFull);
  ReadyEnvironment ready;
  if (!request.requirements.texts.empty()) {
    const Freshness freshness = request.upgrade ? Freshness::kUpgrade : Freshness::kKept;
    const Resolution resolution =
        Resolve(engine, image, GatherRequirements(engine, request.requirements, cancel), freshness,
                "this command", events, cancel);
    ready = EnsureEnvironment(engine, image, resolution.lock, events, cancel);
    for (const std::string& warning : ready.warnings) {
      events.Send({.kind = EventKind::kNote, .task = "this command", .text = warning});
    }
    UseEnvironment(spec, rootfs::EnvironmentMount(ready.environment));
    if (request.writable_environment) MakeEnvironmentWritable(spec);
  }
  ApplyLimits(request.limits, spec);
  HandedMounts handed;
  if (request.script.has_value())
    handed.Add(request.script->file.get(), ScriptInside(*request.script));
  AddUserMounts(spec, handed, request.mounts);
  for (auto& [name, value] : request.environment) SetVariable(spec, name, std::move(value));
  if (request.script.has_value()) UseScript(*request.script, ready, image, request.command);
  spec.argv = std::move(request.command);
  spec.cwd = !request.cwd.empty()                        ? request.cwd
             : image.config.working_dir.starts_with('/') ? image.config.working_dir
                                                         : "/";
  const runtime::CheckedSpec checked = runtime::CheckSpec(std::move(spec));
  if (cancel != nullptr) cancel->ThrowIfCancelled();
  result.prepared_at = base::MonotonicNanoseconds();
  runtime::Sandbox running = engine.launcher().Start({.spec = &checked,
                                                      .standard_input = STDIN_FILENO,
                                                      .standard_output = STDOUT_FILENO,
                                                      .standard_error = STDERR_FILENO,
                                                      .mounts = handed.numbers(),
                                                      .last = true});
  CommandWatch watch(running, request.limits.timeout);
  const runtime::Outcome outcome = watch.Wait(interrupt);
  result.exit_code =
      outcome.end == runtime::Outcome::End::kExited ? outcome.code : 128 + outcome.code;
  result.limit = StruckLimit(checked.value(), outcome);
  if (watch.timed_out()) {
    result.exit_code = kTimedOutCode;
    result.limit = TimedOut(*request.limits.timeout);
  }
  result.stages = outcome.times;
  result.ended_at = outcome.ended_at;
  result.peak_memory = outcome.peak_memory;
  result.cpu_time = outcome.user_time + outcome.system_time;
  return result;
}

}  // namespace rundlet::engine
