#include "runtime/probes/feature_probes.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <vector>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "runtime/cgroup/engine_groups.h"
#include "runtime/launcher.h"
#include "runtime/launcher/mounting.h"
#include "runtime/launcher/private_root.h"
#include "runtime/launcher/user_namespace.h"
#include "runtime/seccomp/filter.h"

namespace rundlet::runtime {
namespace {

using base::ThrowErrno;
using base::UniqueFd;

constexpr uint64_t kNamespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
                                 CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP;
constexpr int kLayers = 500;

[[noreturn]] void Missing(const std::string& attempted, std::string why) {
  throw base::Error(base::Fault::kHost, attempted).Because(std::move(why));
}

// Runs `body` as root of fresh namespaces with an id map; it returns 0 or an errno, which is
// thrown.
void InNamespaces(const char* attempted, const std::function<int()>& body) {
  base::Pipe go = base::MakePipe();
  clone_args arguments{};
  arguments.flags = kNamespaces;
  arguments.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid < 0) ThrowErrno("{}", attempted);
  if (pid == 0) {
    char byte;
    go.write.reset();
    if (read(go.read.get(), &byte, 1) != 1) _exit(EINVAL);
    _exit(setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 ? errno : body());
  }
  const bool mapped = WriteIdMap(pid, IdRange{}) && write(go.write.get(), "", 1) == 1;
  const int map_error = errno;
  go.write.reset();
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) ThrowErrno("waiting for a probe");
  if (!mapped) throw base::ErrnoError(map_error, "mapping ids");
  const int error_number = WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
  if (error_number != 0) throw base::ErrnoError(error_number, attempted);
}

// Into the launcher's kind of root, with the place at /store.
void Enter(const ProbePlace& place) {
  const UniqueFd dir = base::OpenAt(place.state_dir, place.name, O_RDONLY | O_DIRECTORY);
  EnterPrivateRoot(DetachedClone(dir.get(), CloneDepth::kOne));
}

UniqueFd Layer(const std::string& name) {
  const UniqueFd store = base::OpenHostPath("/store", O_PATH | O_DIRECTORY);
  base::MakeDirs(store.get(), name);
  return base::OpenAt(store.get(), name, O_PATH | O_DIRECTORY);
}

void AddFile(int dir, const char* name) { base::OpenAt(dir, name, O_WRONLY | O_CREAT, 0644); }

// A writable overlay in fresh memory whose root belongs to `owner`.
UniqueFd OverMemory(int lower, uid_t owner) {
  const UniqueFd memory = NewFileSystem("tmpfs", {{"mode", "0755"}, {"size", "1m"}}, 0);
  Attach(memory.get(), "/scratch");
  for (const char* path : {"/scratch/upper", "/scratch/work"}) {
    if (mkdir(path, 0755) < 0 || chown(path, owner, owner) < 0) ThrowErrno("creating `{}`", path);
  }
  const UniqueFd upper = base::OpenHostPath("/scratch/upper", O_PATH | O_DIRECTORY);
  const UniqueFd work = base::OpenHostPath("/scratch/work", O_PATH | O_DIRECTORY);
  return MountOverlay({.lowers = {lower}, .upper = upper.get(), .work = work.get()});
}

std::string ReadHostFile(const char* path) {
  const UniqueFd file = base::OpenHostPath(path, O_RDONLY);
  return base::ReadFd(file.get(), 1 << 20, path);
}

}  // namespace

std::string ProbeDetachedMounts(const ProbePlace& place) {
  const UniqueFd dir = base::OpenAt(place.state_dir, place.name, O_PATH | O_DIRECTORY);
  const UniqueFd clone = DetachedClone(dir.get(), CloneDepth::kOne);
  SetAttributes(clone.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0);
  return "mounts are cloned, changed and passed on by descriptor";
}

std::string ProbeUserNamespace() {
  NamespaceForMounts(IdRange{});
  return "an id range is mapped";
}

std::string ProbeNamespaces() {
  InNamespaces("making all namespaces", [] { return 0; });
  return "user, mount, pid, ipc, uts, network and cgroup";
}

// The kernel allows it only where another procfs is fully visible, which a container's is not.
std::string ProbeProc(const ProbePlace& place) {
  Enter(place);
  InNamespaces("mounting a procfs", [] {
    try {
      NewFileSystem("proc", {{"subset", "pid"}}, MOUNT_ATTR_RDONLY);
      NewFileSystem("proc", {}, MOUNT_ATTR_RDONLY);
      return 0;
    } catch (const base::Error&) {
      return errno != 0 ? errno : EINVAL;
    }
  });
  return "with subset=pid and full";
}

std::string ProbeOverlay(const ProbePlace& place, OverlayWay way) {
  Enter(place);
  const UniqueFd high = Layer("high");
  const UniqueFd low = Layer("low");
  AddFile(low.get(), "file");
  const UniqueFd mount = MountOverlay(way, {.lowers = {high.get(), low.get()}});
  if (!base::ExistsAt(mount.get(), "file")) Missing("reading an overlay", "a file is not there");
  return "two layers";
}

std::string ProbeWritableLayer(const ProbePlace& place) {
  Enter(place);
  const UniqueFd mount = OverMemory(Layer("low").get(), 0);
  AddFile(mount.get(), "fresh");
  return "over tmpfs";
}

std::string ProbeShiftedLayer(const ProbePlace& place) {
  Enter(place);
  AddFile(Layer("low").get(), "file");
  const IdRange ids;
  const UniqueFd store = CloneTree(AT_FDCWD, "/store");
  MapOwners(store.get(), NamespaceForMounts(ids).get());
  Attach(store.get(), "/root");
  const UniqueFd low = base::OpenHostPath("/root/low", O_PATH | O_DIRECTORY);
  const UniqueFd mount = OverMemory(low.get(), ids.base);
  const auto info = base::StatAt(mount.get(), "file");
  if (!info.has_value() || info->st_uid != ids.base) {
    Missing("reading a layer with shifted owners", "its owners are not shifted");
  }
  // Some kernels make such an overlay silently read-only.
  if (setresuid(ids.base, ids.base, ids.base) < 0) ThrowErrno("becoming a sandbox's root");
  AddFile(mount.get(), "fresh");
  return "and a writable layer over them";
}

std::string ProbeManyLayers(const ProbePlace& place) {
  Enter(place);
  std::vector<UniqueFd> opened;
  OverlayParts parts;
  for (int i = 0; i < kLayers; ++i) {
    opened.push_back(Layer(fmt::format("many/{}", i)));
    parts.lowers.push_back(opened.back().get());
  }
  AddFile(opened.back().get(), "last");
  const UniqueFd mount = MountOverlay(parts);
  if (!base::ExistsAt(mount.get(), "last")) Missing("reading an overlay", "a file is not there");
  return "in one overlay";
}

std::string ProbeFilter() {
  const sock_fprog program = {static_cast<unsigned short>(kFilterLength),
                              const_cast<sock_filter*>(kFilter)};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) {
    ThrowErrno("loading a system-call filter");
  }
  if (unshare(CLONE_NEWUTS) == 0 || errno != EPERM) {
    Missing("loading a system-call filter", "it does not filter");
  }
  // Families whose bugs wrote to the page cache of files that were open for reading.
  for (const int family : {AF_ALG, AF_RXRPC, AF_KEY}) {
    if (socket(family, SOCK_RAW, 0) >= 0 || errno != ENOSYS)
      Missing("loading a system-call filter", fmt::format("it lets family {} through", family));
  }
  return fmt::format("{} instructions; AF_ALG, AF_RXRPC and AF_KEY are refused", kFilterLength);
}

std::string ProbePidfd() {
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid < 0) ThrowErrno("cloning with a pidfd");
  if (pid == 0) {
    while (true) pause();
  }
  const UniqueFd owned(pidfd);
  siginfo_t info{};
  if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0) < 0 ||
      waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED) < 0) {
    ThrowErrno("signalling and waiting by pidfd");
  }
  return "clone, signal and wait";
}

std::string ProbeLimit(Controller controller) {
  const EngineGroups groups(HierarchiesOfThisProcess());
  for (const GroupDirectory& directory : groups.directories()) {
    if (!directory.kind.controllers.contains(controller)) continue;
    base::MakeDirs(directory.dir.get(), "probe");
    const UniqueFd group = base::OpenAt(directory.dir.get(), "probe", O_RDONLY | O_DIRECTORY);
    const Limits limits = {.memory = uint64_t{1} << 30, .cpus = 1000, .pids = 100};
    for (const GroupSetting& setting : SettingsFor(directory.kind, limits, 0)) {
      if (setting.controller != controller) continue;
      const int error_number = WriteSetting(group.get(), setting);
      if (error_number != 0) Missing(setting.file, base::ErrnoText(error_number));
    }
    return fmt::format("{}:{} in {}", NameOf(directory.kind.version), NameOf(controller),
                       directory.place);
  }
  Missing(NameOf(controller), groups.WhyNot(controller));
}

std::string ProbeLandlock(const ProbePlace& place) {
  const long version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 0) ThrowErrno("asking for Landlock");
  const uint64_t handled = LANDLOCK_ACCESS_FS_MAKE_DIR;
  const UniqueFd ruleset(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0)));
  if (!ruleset.valid() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
      syscall(SYS_landlock_restrict_self, ruleset.get(), 0) < 0) {
    ThrowErrno("restricting a process by Landlock");
  }
  const UniqueFd dir = base::OpenAt(place.state_dir, place.name, O_RDONLY | O_DIRECTORY);
  if (mkdirat(dir.get(), "denied", 0755) == 0 || errno != EACCES)
    Missing("restricting a process by Landlock", "it restricts nothing");
  return fmt::format("version {}: {}", version,
                     version >= 6   ? "writes, abstract sockets, signals"
                     : version >= 2 ? "writes"
                                    : "too old to be used");
}

std::string ProbeIds() {
  const IdRange ids;
  NamespaceForMounts(ids);
  for (const char* path : {"/etc/subuid", "/etc/subgid"}) {
    const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
    if (!file.valid()) continue;  // of hosts that hand none out
    for (const std::string& line : base::Split(base::ReadFd(file.get(), 1 << 20, path), '\n')) {
      const std::vector<std::string> parts = base::Split(line, ':');
      if (parts.size() != 3) continue;
      const uint64_t first = std::strtoull(parts[1].c_str(), nullptr, 10);
      const uint64_t count = std::strtoull(parts[2].c_str(), nullptr, 10);
      if (first >= uint64_t{ids.base} + ids.count || first + count <= ids.base) continue;
      Missing(fmt::format("looking into `{}`", path),
              fmt::format("some are given to `{}`", base::Printable(parts[0])));
    }
  }
  return fmt::format("{} to {} are nobody's", ids.base, ids.base + ids.count - 1);
}

std::string ProbeNamespaceLimit() {
  const std::string text = ReadHostFile("/proc/sys/user/max_user_namespaces");
  if (std::strtoull(text.c_str(), nullptr, 10) == 0) {
    Missing("reading `user.max_user_namespaces`", "it is 0");
  }
  return fmt::format("at most {}", base::Trim(text));
}

std::string ProbeKernel() {
  utsname names;
  if (uname(&names) < 0) ThrowErrno("asking for the kernel's name");
  return fmt::format(
      "{} {}; bugs that write to the page cache through a read-only file (2026: AF_ALG, xfrm, "
      "rxrpc) "
      "are out of a sandbox's reach, but only an updated kernel is free of them",
      names.release, names.machine);
}

std::string ProbeDirectReads(const ProbePlace& place) {
  constexpr size_t kBlock = 4096;
  const UniqueFd dir = base::OpenAt(place.state_dir, place.name, O_RDONLY | O_DIRECTORY);
  base::ReplaceAt(dir.get(), "block", std::string(kBlock, 'x'), 0600, base::Durability::kSynced);
  const UniqueFd file = base::OpenAt(dir.get(), "block", O_RDONLY | O_DIRECT);
  alignas(kBlock) char bytes[kBlock];
  if (pread(file.get(), bytes, kBlock, 0) != kBlock) ThrowErrno("reading a file directly");
  return "memory can be compared with the disk: `package verify --disk`";
}

}  // namespace rundlet::runtime
