// rundlet-launcher: the small single-threaded process that clones sandboxes for one engine
// (runtime/launcher.h).
//
// It serves one request after the other and ends with its socket. Sandboxes are made with
// CLONE_PARENT: they are the engine's children, and go on when the launcher dies.
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/fs.h"
#include "runtime/child/child.h"
#include "runtime/child/defences.h"
#include "runtime/launcher/leaves.h"
#include "runtime/launcher/network.h"
#include "runtime/launcher/prepare.h"
#include "runtime/launcher/private_root.h"
#include "runtime/launcher/user_namespace.h"
#include "runtime/spec/spec_codec.h"
#include "runtime/spec/wire.h"

namespace rundlet::runtime {
namespace {

using base::UniqueFd;

// Not the control groups': its root would be the launcher's group. The child makes that one.
uint64_t Namespaces() {
  return CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
         (Stands(Defence::kProcesses) ? CLONE_NEWPID : 0);
}

struct Started {
  LaunchReply reply{};
  UniqueFd pidfd;
  UniqueFd listener;  // Network::kProxied
  // Taking it down waits for the kernel (umount): after the reply.
  std::unique_ptr<Preparation> preparation;
  bool lost = false;  // this process is not where it could serve another request
};

Started Refused(Stage stage, int error_number, uint32_t index = 0) {
  return {.reply = {.pid = -1, .failure = {stage, error_number, index}, .leaf = 0},
          .pidfd = {},
          .listener = {},
          .preparation = {},
          .lost = false};
}

struct Kept {
  MountNamespaces spaces;
  MountCache mounts;
  NetworkNamespaces networks;
  Leaves leaves;
};

bool Enter(const UniqueFd& mount_namespace) {
  return setns(mount_namespace.get(), CLONE_NEWNS) == 0;
}

Started Clone(Preparation& preparation, const SandboxSpec& spec, Kept& kept) {
  Leaves& leaves = kept.leaves;
  Prepared& record = preparation.record();
  base::Pipe go = base::MakePipe();
  record.go = go.read.get();
  const UniqueFd oom_control = leaves.OomControl(spec.limits);
  record.oom_control = oom_control.get();
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = Namespaces() | CLONE_PARENT | CLONE_PIDFD;  // the network's: we are in it
  arguments.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  if (leaves.into() >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<__u64>(leaves.into());
  }
  if (Stands(Defence::kBareRoot) && !Enter(kept.spaces.bare)) return Refused(Stage::kCloned, errno);
  Reach(record, Stage::kCloned);
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid == 0) {
    close(go.write.get());  // or a launcher that dies now would leave the child waiting for ever
    RunChild(record);
  }
  const int clone_error = errno;
  const bool lost = !Enter(kept.spaces.own);
  const int lost_error = errno;
  if (pid < 0) {
    Started refused = Refused(Stage::kCloned, clone_error);
    refused.lost = lost;
    return refused;
  }
  Started started{.reply = {.pid = pid, .failure = {}, .leaf = leaves.number()},
                  .pidfd = UniqueFd(pidfd),
                  .listener = {},
                  .preparation = {},
                  .lost = lost};
  // The engine is its parent: it gets the pidfd and reaps it, and the reason on the status pipe.
  const auto fail = [&](Failure failure) {
    kill(pid, SIGKILL);
    [[maybe_unused]] const ssize_t written = write(record.status, &failure, sizeof failure);
  };
  if (lost) {
    fail({Stage::kCloned, lost_error, 0});
    return started;
  }
  try {
    leaves.Limit(spec.limits);
  } catch (const GroupFailure& failure) {
    fail({Stage::kGroups, failure.error_number, static_cast<uint32_t>(failure.controller)});
    return started;
  }
  if (!PreferAsVictim(pid) || !WriteIdMap(pid, spec.ids) || write(go.write.get(), "", 1) != 1)
    fail({Stage::kIdMap, errno, 0});
  return started;
}

Started StartSandbox(Kept& kept, const LaunchHeader& header, std::vector<UniqueFd> descriptors) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  StopAt(Stage::kReceived);
  const size_t program = header.has_program != 0 ? 1 : 0;
  const size_t files_at = kFixedDescriptors + program;
  const size_t mounts_at = files_at + header.files;
  if (descriptors.size() != mounts_at + header.mounts) return Refused(Stage::kReceived, EPROTO);
  SandboxSpec spec =
      DecodeSpec(base::ReadFd(descriptors[0].get(), kMaxSpecBytes, "a sandbox spec"));
  if (!Stands(Defence::kIds)) spec.ids.base = 0;
  if (!Stands(Defence::kNetwork)) spec.network = Network::kHost;
  if (!Stands(Defence::kLimits)) {
    spec.limits = {};
    spec.scratch_bytes = SandboxSpec{}.scratch_bytes;
  }
  std::vector<UniqueFd> handed;
  for (size_t i = mounts_at; i < descriptors.size(); ++i)
    handed.push_back(std::move(descriptors[i]));
  std::vector<int> files;
  for (size_t i = files_at; i < mounts_at; ++i) files.push_back(descriptors[i].get());
  try {
    auto preparation = std::make_unique<Preparation>(kept.mounts, spec, std::move(handed));
    Prepared& record = preparation->record();
    record.status = descriptors[1].get();
    record.lifeline = descriptors[2].get();
    record.outcome = descriptors[3].get();
    for (size_t i = 0; i < 3; ++i) record.standard[i] = descriptors[4 + i].get();
    if (program != 0) record.program = descriptors[kFixedDescriptors].get();
    record.files = files.data();
    record.file_count = files.size();
    record.times[static_cast<size_t>(Stage::kReceived)] =
        int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
    Reach(record, Stage::kMounts);
    kept.networks.EnterFor(spec.network);
    UniqueFd listener;
    if (spec.network == Network::kProxied) listener = kept.networks.Listen();
    Reach(record, Stage::kNetwork);
    kept.leaves.EnterFor(spec.limits);
    Reach(record, Stage::kGroups);
    Started started = Clone(*preparation, spec, kept);
    kept.networks.GivenAway();
    started.listener = std::move(listener);
    started.preparation = std::move(preparation);
    return started;
  } catch (const MountFailure& failure) {
    return Refused(Stage::kMounts, failure.error_number, failure.index);
  } catch (const GroupFailure& failure) {
    return Refused(Stage::kGroups, failure.error_number, static_cast<uint32_t>(failure.controller));
  } catch (const base::Error&) {
    return Refused(Stage::kNetwork, errno);
  }
}

struct Setup {
  std::vector<Leaves::Place> places;
  UniqueFd network;  // or none
};

// Nothing when the engine is gone.
std::optional<Setup> ReceiveSetup() {
  SetupHeader header{};
  std::vector<UniqueFd> descriptors;
  if (!ReceiveWithDescriptors(kLauncherSocket, &header, sizeof header, &descriptors))
    return std::nullopt;
  std::vector<GroupKind> kinds = UnpackKinds(header);
  if (descriptors.size() < kinds.size() || descriptors.size() > kinds.size() + 1)
    return std::nullopt;
  Setup setup;
  for (size_t i = 0; i < kinds.size(); ++i) {
    setup.places.push_back(
        {.kind = std::move(kinds[i]), .dir = std::move(descriptors[i]), .leaf = {}});
  }
  if (descriptors.size() > kinds.size()) setup.network = std::move(descriptors.back());
  return setup;
}

void Serve(const IdRange& ids, MountNamespaces spaces) {
  MountCache mounts;
  try {
    mounts.StoreFor(ids, true);
  } catch (const base::Error&) {
    // A file system that cannot: told to the first who needs it.
  }
  NetworkNamespaces networks;
  std::optional<Setup> setup = ReceiveSetup();
  if (!setup.has_value()) return;
  if (setup->network.valid()) networks.Enter(setup->network);
  Kept kept{.spaces = std::move(spaces),
            .mounts = std::move(mounts),
            .networks = std::move(networks),
            .leaves = Leaves(std::move(setup->places))};
  setup.reset();
  kept.leaves.PrepareNext();
  while (true) {
    LaunchHeader header{};
    std::vector<UniqueFd> descriptors;
    if (!ReceiveWithDescriptors(kLauncherSocket, &header, sizeof header, &descriptors)) return;
    if (descriptors.size() < kFixedDescriptors) return;
    const Started started = StartSandbox(kept, header, std::move(descriptors));
    std::vector<int> answer;
    if (started.pidfd.valid()) {
      answer.push_back(started.pidfd.get());
      if (started.listener.valid()) answer.push_back(started.listener.get());
    }
    if (!SendWithDescriptors(kLauncherSocket, &started.reply, sizeof started.reply, answer)) return;
    if (header.last != 0 || started.lost) return;
    // First what the sandbox does not wait for: both it and umount then wait for the kernel's RCU.
    // The group comes before what is charged to it.
    kept.leaves.PrepareNext();
    kept.networks.PrepareNext();
    if (started.preparation) started.preparation->Learn(kept.mounts);
  }
}

// The engine's own numbers (launcher.cc).
uint32_t Number(const char* text) { return static_cast<uint32_t>(std::strtoul(text, nullptr, 10)); }

int Main(const IdRange& ids) {
  try {
    sigset_t all;
    sigfillset(&all);
    // Blocked for good: a signal to a sandbox's first process waits until its init can pass it on.
    sigprocmask(SIG_SETMASK, &all, nullptr);
    prctl(PR_SET_NAME, "rundlet-launch");
    rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
      files.rlim_cur = files.rlim_max;
      setrlimit(RLIMIT_NOFILE, &files);
    }
    Weaken();
    Serve(ids, EnterPrivateRoot(UniqueFd(kLauncherStore)));
    return 0;
  } catch (const base::Error& error) {
    std::fputs(error.Render().c_str(), stderr);
    return 1;
  }
}

}  // namespace
}  // namespace rundlet::runtime

int main(int argc, char** argv) {
  using namespace rundlet::runtime;
  if (argc != 3) return 2;
  return Main({.base = Number(argv[1]), .count = Number(argv[2])});
}
