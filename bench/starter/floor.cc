// bench-floor: what the kernel alone takes for one start of bench-true, and for taking it down.
//
//   bench-floor ROUNDS
//
// Prints {STEP: [nanoseconds of each round]}; bench/launch runs it.
// The system calls of a sandbox one after the other, as few as there can be with all of its walls:
// nothing is read, checked, looked up, sent or recorded, no control group, and one writable overlay
// of six layers. What `--timings` and bench/launch tell of the same stages above these figures is
// rundlet's own.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/fs.h"
#include "runtime/launcher.h"
#include "runtime/launcher/mounting.h"
#include "runtime/launcher/overlay.h"
#include "runtime/launcher/private_root.h"
#include "runtime/launcher/user_namespace.h"
#include "runtime/network_namespace.h"
#include "runtime/seccomp/filter.h"

namespace rundlet::bench {
namespace {

using base::ThrowErrno;
using base::UniqueFd;
using namespace runtime;

constexpr int kLayers = 6;
constexpr int kNewTime = 0x80;  // CLONE_NEWTIME
constexpr int kMasks = 10;      // files of procfs that are there to be hidden, on most hosts
constexpr int kRules = 9;
constexpr const char* kSteps[] = {
    "its memory, a tmpfs",
    "its root, an overlay of six layers",
    "cloning its first process",
    "mapping its user ids",
    "becoming root of its user namespace",
    "mounting",
    "entering its root",
    "setting its session",
    "restricting where it may write",
    "filtering its system calls",
    "starting its init",
    "running the program",
    "taking it down",
};
constexpr size_t kStepCount = std::size(kSteps);

// Shared with the processes of a round: the time at which each step ended.
struct Clock {
  std::array<int64_t, kStepCount + 1> at;
  size_t next;
  void Tick() { at[next++] = base::MonotonicNanoseconds(); }
};

void Must(bool done, const char* what) {
  if (done) return;
  std::perror(what);
  _exit(1);
}

struct Parts {
  MountNamespaces spaces;
  std::vector<UniqueFd> lowers;
};

struct Round {
  UniqueFd root;
  UniqueFd devices;
  std::vector<UniqueFd> memory;
  int go;
  Clock* clock;
};

void AttachAt(int mount, int root, const char* path) {
  Must(move_mount(mount, "", root, path, MOVE_MOUNT_F_EMPTY_PATH) == 0, path);
}

int MadeByChild(const char* type) {
  const int context = fsopen(type, FSOPEN_CLOEXEC);
  Must(fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0, type);
  const int mount = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  Must(mount >= 0, type);
  close(context);
  return mount;
}

void MountAll(const Round& round) {
  const int root = round.root.get();
  AttachAt(root, AT_FDCWD, "/");
  const int proc = MadeByChild("proc");
  AttachAt(proc, root, "proc");
  constexpr const char* kHidden[kMasks] = {"cmdline", "diskstats", "interrupts", "keys",
                                           "locks",   "stat",      "uptime",     "version",
                                           "modules", "swaps"};
  for (const char* name : kHidden) {
    const UniqueFd mask(open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (move_mount(mask.get(), "", proc, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
      Must(errno == ENOENT, name);
  }
  AttachAt(round.devices.get(), root, "dev");
  AttachAt(MadeByChild("devpts"), root, "dev/pts");
  constexpr const char* kMemory[] = {"dev/shm", "tmp", "env"};
  for (size_t i = 0; i < std::size(kMemory); ++i) AttachAt(round.memory[i].get(), root, kMemory[i]);
}

void Restrict(const Round& round) {
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE;
  const UniqueFd rules(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (!rules.valid()) return;  // a host without
  landlock_path_beneath_attr rule{};
  rule.allowed_access = LANDLOCK_ACCESS_FS_WRITE_FILE;
  rule.parent_fd = round.root.get();
  for (int i = 0; i < kRules; ++i)
    syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
  Must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  Must(syscall(SYS_landlock_restrict_self, rules.get(), 0) == 0, "landlock");
}

[[noreturn]] void Child(const Round& round) {
  char byte;
  Must(read(round.go, &byte, 1) == 1, "read");
  round.clock->Tick();  // with the id maps
  Must(unshare(kNewTime) == 0 || errno == EINVAL, "time namespace");
  Must(
      syscall(SYS_setgroups, 0, nullptr) == 0 && setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0,
      "ids");
  round.clock->Tick();
  MountAll(round);
  round.clock->Tick();
  Must(fchdir(round.root.get()) == 0 && chroot(".") == 0, "chroot");
  round.clock->Tick();
  Must(unshare(CLONE_NEWCGROUP) == 0 && setsid() >= 0, "session");
  round.clock->Tick();
  Restrict(round);
  round.clock->Tick();
  for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0;) ++capability;
  const sock_fprog filter = {static_cast<unsigned short>(kFilterLength),
                             const_cast<sock_filter*>(kFilter)};
  Must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0, "filter");
  round.clock->Tick();
  const pid_t program = fork();
  if (program == 0) {
    round.clock->Tick();
    char* const argv[] = {const_cast<char*>("/true"), nullptr};
    execve(argv[0], argv, argv + 1);
    Must(false, argv[0]);
  }
  int status;
  Must(waitpid(program, &status, 0) == program && status == 0, "the program");
  round.clock->Tick();
  _exit(0);
}

void Once(const Parts& parts, Clock& clock) {
  clock.next = 0;
  clock.Tick();
  const UniqueFd memory = NewFileSystem("tmpfs", {{"size", "1g"}, {"mode", "0755"}},
                                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  Attach(memory.get(), "/scratch");
  for (const char* name : {"upper", "work", "0", "1", "2"}) mkdirat(memory.get(), name, 0755);
  clock.Tick();
  const UniqueFd upper = base::OpenAt(memory.get(), "upper", O_PATH | O_DIRECTORY);
  const UniqueFd work = base::OpenAt(memory.get(), "work", O_PATH | O_DIRECTORY);
  std::vector<int> lowers;
  for (const UniqueFd& lower : parts.lowers) lowers.push_back(lower.get());
  Round round;
  round.clock = &clock;
  round.root = MountOverlay({.lowers = lowers, .upper = upper.get(), .work = work.get()});
  round.devices = CloneTree(AT_FDCWD, "/dev");
  for (const char* name : {"0", "1", "2"}) round.memory.push_back(CloneTree(memory.get(), name));
  clock.Tick();
  const base::Pipe go = base::MakePipe();
  round.go = go.read.get();
  clone_args arguments{};
  arguments.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID;
  arguments.exit_signal = SIGCHLD;
  Must(setns(parts.spaces.bare.get(), CLONE_NEWNS) == 0, "setns");
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid == 0) Child(round);
  Must(pid > 0 && setns(parts.spaces.own.get(), CLONE_NEWNS) == 0, "clone3");
  clock.Tick();
  Must(WriteIdMap(pid, IdRange{}) && write(go.write.get(), "", 1) == 1, "mapping its user ids");
  int status;
  Must(waitpid(pid, &status, 0) == pid && status == 0, "a round");
  clock.Tick();
  umount2("/scratch", MNT_DETACH);
}

void Main(int rounds) {
  char folder[] = "/var/tmp/bench-floor-XXXXXX";
  if (mkdtemp(folder) == nullptr) ThrowErrno("making a folder");
  const UniqueFd parent = base::OpenHostPath("/var/tmp", O_RDONLY | O_DIRECTORY);
  const UniqueFd state = base::OpenHostPath(folder, O_RDONLY | O_DIRECTORY);
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string program = self + "/bench-true";
  for (int i = 0; i < kLayers; ++i) {
    const std::string layer = std::to_string(i);
    for (const char* name : {"proc", "dev", "tmp", "env"})
      base::MakeDirs(state.get(), layer + "/" + name);
  }
  std::filesystem::copy_file(program, std::string(folder) + "/0/true");
  Parts parts{.spaces = EnterPrivateRoot(DetachedClone(state.get(), CloneDepth::kOne)),
              .lowers = {}};
  const UniqueFd shifted = CloneTree(AT_FDCWD, "/store");
  MapOwners(shifted.get(), NamespaceForMounts(IdRange{}).get());
  Attach(shifted.get(), "/ids");
  const UniqueFd store = UniqueFd(open("/ids", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < kLayers; ++i)
    parts.lowers.push_back(base::OpenAt(store.get(), std::to_string(i), O_PATH | O_DIRECTORY));
  EnterNewNetworkNamespace();
  auto* clock = static_cast<Clock*>(
      mmap(nullptr, sizeof(Clock), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  nlohmann::ordered_json steps;
  for (int i = 0; i < rounds; ++i) {
    Once(parts, *clock);
    for (size_t step = 0; step < kStepCount; ++step)
      steps[kSteps[step]].push_back(clock->at[step + 1] - clock->at[step]);
    steps["together"].push_back(clock->at[kStepCount] - clock->at[0]);
  }
  std::printf("%s\n", steps.dump().c_str());
  base::RemoveTree(parent.get(), std::filesystem::path(folder).filename());
}

}  // namespace
}  // namespace rundlet::bench

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    rundlet::bench::Main(std::atoi(argv[1]));
    return 0;
  } catch (const rundlet::base::Error& error) {
    std::fputs(error.Render().c_str(), stderr);
    return 3;
  }
}
