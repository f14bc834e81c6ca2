#include "runtime/launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "runtime/network_namespace.h"
#include "runtime/spec/spec_codec.h"
#include "runtime/spec/wire.h"

namespace rundlet::runtime {
namespace {

using base::Error;
using base::Fault;
using base::ThrowErrno;
using base::UniqueFd;

std::chrono::nanoseconds Duration(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

// Whether owners of the state directory's files are shifted into the sandbox's ids there.
bool ShiftsOwners(const MountSource& source) {
  if (const auto* layers = std::get_if<Layers>(&source)) return layers->idmapped;
  if (const auto* path = std::get_if<StorePath>(&source)) return path->idmapped;
  return false;
}

Error StartError(const SandboxSpec& spec, const Failure& failure) {
  const std::string text = base::ErrnoText(failure.error_number);
  if (failure.stage == Stage::kExec) {
    const bool absent = failure.error_number == ENOENT || failure.error_number == ENOTDIR;
    ProgramError error(absent ? 127 : 126,
                       fmt::format("starting `{}` in a sandbox", spec.argv.front()));
    error.Because(absent ? "there is no such program in the image" : text);
    throw error;
  }
  if (failure.stage == Stage::kDirectory) {
    return Error(Fault::kInvalid, fmt::format("starting `{}` in a sandbox", spec.argv.front()))
        .Because(fmt::format("working directory `{}`: {}", spec.cwd, text));
  }
  if (failure.stage == Stage::kGroups) {
    return base::ErrnoError(
        failure.error_number,
        fmt::format("limiting `{}` of a sandbox for `{}`",
                    NameOf(static_cast<Controller>(failure.index)), spec.argv.front()));
  }
  Error error = base::ErrnoError(failure.error_number, NameOf(failure.stage));
  const bool has_mount = failure.stage == Stage::kMounts || failure.stage == Stage::kTargets ||
                         failure.stage == Stage::kRoot;
  if (has_mount && failure.index < spec.mounts.mounts.size()) {
    error =
        base::ErrnoError(failure.error_number,
                         fmt::format("mounting `{}`", spec.mounts.mounts[failure.index].target));
  }
  if (failure.error_number == EINVAL && failure.stage == Stage::kMounts &&
      failure.index < spec.mounts.mounts.size() &&
      ShiftsOwners(spec.mounts.mounts[failure.index].source)) {
    error.SetHint(
        "where the file system of the state directory cannot shift owners (tmpfs can since Linux "
        "6.3), choose another with --state");
  }
  error.While(fmt::format("starting a sandbox for `{}`", spec.argv.front()));
  if (failure.error_number == EPERM || failure.error_number == ENOSYS) {
    error.SetHint("`rundlet doctor` says what this host lacks");
  }
  return error;
}

struct TerminalSocket {
  UniqueFd ours;
  UniqueFd theirs;
};

TerminalSocket MakeTerminalSocket() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
    ThrowErrno("creating a socket pair");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// It was sent before the program started.
UniqueFd ReceiveTerminal(int socket) {
  char byte;
  std::vector<UniqueFd> descriptors;
  if (!ReceiveWithDescriptors(socket, &byte, 1, &descriptors) || descriptors.size() != 1)
    ThrowErrno("receiving the terminal of a sandbox");
  return std::move(descriptors.front());
}

}  // namespace

Sandbox::~Sandbox() {
  if (!pidfd_.valid() || collected_) return;
  syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  siginfo_t info;
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | __WALL) < 0 &&
         errno == EINTR) {
  }
  groups_->RemoveLeaf(leaf_);
}

void Sandbox::Signal(int number) const {
  syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

void Sandbox::WaitForStart(const SandboxSpec& spec) {
  Failure failure;
  ssize_t count;
  do {
    count = read(status_.get(), &failure, sizeof failure);
  } while (count < 0 && errno == EINTR);
  status_.reset();
  if (count == static_cast<ssize_t>(sizeof failure)) throw StartError(spec, failure);
  if (count != 0) ThrowErrno("reading the state of a new sandbox");
}

Outcome Sandbox::Wait(const base::CancelToken* cancel, std::chrono::milliseconds grace) {
  try {
    base::WaitFor(pidfd_.get(), POLLIN, cancel);
  } catch (const base::Cancelled&) {
    Stop(grace);
    throw;
  }
  return Collect();
}

Outcome Sandbox::Stop(std::chrono::milliseconds grace) {
  Signal(SIGTERM);
  if (!base::WaitFor(pidfd_.get(), POLLIN, nullptr, static_cast<int>(grace.count())))
    Signal(SIGKILL);
  return Collect();
}

Outcome Sandbox::Collect() {
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | __WALL) < 0) {
    if (errno != EINTR) ThrowErrno("waiting for a sandbox");
  }
  collected_ = true;
  Outcome outcome = ReadRecord(info);
  const GroupUsage usage = groups_->UsageOf(leaf_);
  groups_->RemoveLeaf(leaf_);
  outcome.peak_memory = usage.peak_memory.value_or(outcome.peak_memory);
  outcome.user_time = usage.user_time.value_or(outcome.user_time);
  outcome.system_time = usage.system_time.value_or(outcome.system_time);
  outcome.memory_kills = usage.memory_kills;
  outcome.forks_refused = usage.forks_refused;
  return outcome;
}

Outcome Sandbox::ReadRecord(const siginfo_t& info) const {
  Outcome outcome;
  OutcomeRecord record{};
  const ssize_t count = pread(outcome_.get(), &record, sizeof record, 0);
  if (count != static_cast<ssize_t>(sizeof record) || record.magic != OutcomeRecord::kMagic) {
    outcome.end = Outcome::End::kSignalled;
    outcome.code = info.si_code == CLD_EXITED ? SIGKILL : info.si_status;
    return outcome;
  }
  const bool exited = WIFEXITED(record.wait_status);
  outcome.end = exited ? Outcome::End::kExited : Outcome::End::kSignalled;
  outcome.code = exited ? WEXITSTATUS(record.wait_status) : WTERMSIG(record.wait_status);
  outcome.peak_memory = static_cast<uint64_t>(record.usage.ru_maxrss) * 1024;
  outcome.user_time = Duration(record.usage.ru_utime);
  outcome.system_time = Duration(record.usage.ru_stime);
  outcome.scratch_full = record.scratch_full != 0;
  outcome.times = record.times;
  outcome.ended_at = record.ended_at;
  return outcome;
}

Launcher::Launcher(std::string program, int state_dir)
    : program_(std::move(program)), state_dir_(fcntl(state_dir, F_DUPFD_CLOEXEC, 3)) {
  if (!state_dir_.valid()) ThrowErrno("duplicating the state directory's descriptor");
}

Launcher::~Launcher() {
  socket_.reset();  // its end of file ends the launcher
  if (process_.pid > 0) {
    while (waitpid(process_.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
}

void Launcher::StartProcess(const IdRange& ids) {
  if (geteuid() != 0) {
    throw Error(Fault::kHost, "starting the launcher")
        .Because("making sandboxes needs root")
        .Hint("run rundlet as root, for instance with sudo");
  }
  if (process_.pid > 0) waitpid(process_.pid, nullptr, 0);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
    ThrowErrno("creating a socket pair");
  socket_ = UniqueFd(ends[0]);
  const UniqueFd theirs(ends[1]);
  const UniqueFd store = DetachedClone(state_dir_.get(), CloneDepth::kOne);
  const base::SpawnRequest request = {
      .path = program_,
      .argv = {"rundlet-launcher", std::to_string(ids.base), std::to_string(ids.count)},
      .descriptors = {{0, theirs.get()},
                      {1, 2},
                      {2, 2},
                      {kLauncherSocket, theirs.get()},
                      {kLauncherStore, store.get()}},
      .environment = {}};
  process_ = base::Spawn(request);
  SendSetup();
}

// One that has died already is noticed by the request that follows.
void Launcher::SendSetup() {
  std::vector<GroupKind> kinds;
  std::vector<int> directories;
  for (const GroupDirectory& directory : Groups().directories()) {
    kinds.push_back(directory.kind);
    directories.push_back(directory.dir.get());
  }
  UniqueFd network;
  try {
    network = NewNetworkNamespace();
    directories.push_back(network.get());
  } catch (const Error&) {
    // For instance too many of them for now: the launcher tries again when a sandbox needs one.
  }
  const SetupHeader header = PackKinds(kinds);
  SendWithDescriptors(socket_.get(), &header, sizeof header, directories);
}

// With the lock held.
EngineGroups& Launcher::Groups() {
  if (groups_ == nullptr) {
    groups_ = std::make_shared<EngineGroups>(use_ == GroupUse::kAll ? HierarchiesOfThisProcess()
                                                                    : std::vector<Hierarchy>());
  }
  return *groups_;
}

// With the lock held. A launcher without groups is replaced by one that has them.
EngineGroups& Launcher::GroupsFor(const Limits& limits) {
  if (use_ == GroupUse::kLimited && limits != Limits{}) {
    use_ = GroupUse::kAll;
    groups_.reset();
    socket_.reset();
  }
  return Groups();
}

void Launcher::Prepare(const IdRange& ids, GroupUse use) {
  const std::lock_guard lock(mutex_);
  use_ = use;
  EnsureProcess(ids);
}

void Launcher::Require(const Limits& limits) {
  const std::lock_guard lock(mutex_);
  GroupsFor(limits).Require(limits);
}

// A launcher that died between two requests has seen nothing of the next: it is replaced unnoticed.
void Launcher::EnsureProcess(const IdRange& ids) {
  if (socket_.valid() && base::WaitFor(process_.pidfd.get(), POLLIN, nullptr, 0)) socket_.reset();
  if (!socket_.valid()) StartProcess(ids);
}

Sandbox Launcher::Start(const SandboxRequest& request) {
  const SandboxSpec& spec = request.spec->value();
  RUNDLET_CHECK(spec.program_by_descriptor == (request.program >= 0));
  const std::string encoded = EncodeSpec(*request.spec);
  if (encoded.size() > kMaxSpecBytes) {
    throw Error(Fault::kInvalid, fmt::format("starting a sandbox for `{}`", spec.argv.front()))
        .Because(fmt::format("its description is larger than {}", base::HumanBytes(kMaxSpecBytes)));
  }
  const UniqueFd message = base::MemoryFile("rundlet-spec", encoded);
  Sandbox sandbox;
  base::Pipe status = base::MakePipe();
  base::Pipe lifeline = base::MakePipe();
  sandbox.outcome_ = base::MemoryFile("rundlet-outcome", "");
  sandbox.status_ = std::move(status.read);
  sandbox.lifeline_ = std::move(lifeline.write);

  TerminalSocket terminal;
  if (spec.terminal.has_value()) terminal = MakeTerminalSocket();
  const int theirs = terminal.theirs.get();

  LaunchHeader header{};
  std::vector<int> descriptors = {message.get(), status.write.get(), lifeline.read.get(),
                                  sandbox.outcome_.get()};
  for (const int stream :
       {request.standard_input, request.standard_output, request.standard_error}) {
    descriptors.push_back(theirs >= 0 ? theirs : stream);
  }
  header.has_program = request.program >= 0;
  if (header.has_program) descriptors.push_back(request.program);
  header.files = static_cast<uint32_t>(request.files.size());
  header.mounts = static_cast<uint32_t>(request.mounts.size());
  header.last = request.last;
  descriptors.insert(descriptors.end(), request.files.begin(), request.files.end());
  descriptors.insert(descriptors.end(), request.mounts.begin(), request.mounts.end());
  if (descriptors.size() > kMaxDescriptors) {
    throw Error(Fault::kInvalid, fmt::format("starting a sandbox for `{}`", spec.argv.front()))
        .Because(fmt::format("it needs {} descriptors and one message carries {}",
                             descriptors.size(), kMaxDescriptors));
  }

  LaunchReply reply{};
  {
    const std::lock_guard lock(mutex_);
    GroupsFor(spec.limits).Require(spec.limits);
    EnsureProcess(spec.ids);
    if (!SendWithDescriptors(socket_.get(), &header, sizeof header, descriptors) ||
        !ReceiveReply(socket_.get(), &reply, &sandbox.pidfd_, &sandbox.listener_)) {
      socket_.reset();  // the next request starts another launcher
      throw Error(Fault::kHost, fmt::format("starting a sandbox for `{}`", spec.argv.front()))
          .Because("the launcher died")
          .Hint("try again; `rundlet doctor` says what this host lacks");
    }
    sandbox.groups_ = groups_;
    if (request.last) socket_.reset();  // should there be another: by another launcher
  }
  if (reply.pid <= 0) throw StartError(spec, reply.failure);
  sandbox.pid_ = reply.pid;
  sandbox.leaf_ = reply.leaf;
  status.write.reset();
  lifeline.read.reset();
  terminal.theirs.reset();
  sandbox.WaitForStart(spec);
  if (spec.terminal.has_value()) sandbox.terminal_ = ReceiveTerminal(terminal.ours.get());
  return sandbox;
}

UniqueFd DetachedClone(int fd, CloneDepth depth) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
                         (depth == CloneDepth::kRecursive ? AT_RECURSIVE : 0u);
  UniqueFd tree(open_tree(fd, "", flags));
  if (!tree.valid()) ThrowErrno("cloning a mount");
  // systemd makes every mount of a host shared: what a sandbox mounts below it would appear there.
  mount_attr attributes{};
  attributes.propagation = MS_PRIVATE;
  if (mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) <
      0) {
    ThrowErrno("making a mount private");
  }
  return tree;
}

UniqueFd DetachedTmpfs(uint64_t bytes, uint32_t uid, uint32_t mode) {
  const UniqueFd context(fsopen("tmpfs", FSOPEN_CLOEXEC));
  const auto set = [&context](const char* key, const std::string& value) {
    if (fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) < 0) {
      ThrowErrno("setting `{}` of a tmpfs", key);
    }
  };
  if (!context.valid()) ThrowErrno("opening tmpfs");
  set("size", std::to_string(bytes));
  set("nr_inodes", std::to_string(bytes / 4096));
  set("uid", std::to_string(uid));
  set("gid", std::to_string(uid));
  set("mode", fmt::format("{:o}", mode));
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
    ThrowErrno("creating a tmpfs");
  UniqueFd mount(fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  if (!mount.valid()) ThrowErrno("mounting a tmpfs");
  return mount;
}

}  // namespace rundlet::runtime
