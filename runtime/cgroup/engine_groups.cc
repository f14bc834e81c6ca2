#include "runtime/cgroup/engine_groups.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"

namespace rundlet::runtime {
namespace {

using base::Error;
using base::Fault;
using base::ThrowErrno;
using base::UniqueFd;

constexpr std::string_view kPrefix = "rundlet-";
constexpr size_t kRandomDigits = 16;
// Where an engine moves to that sits in the delegated group itself: v2 limits only groups whose
// parent has no process.
constexpr const char* kEngineLeaf = "rundlet.engine";
constexpr int kMoveAttempts = 100;  // against processes that fork meanwhile
constexpr size_t kFileLimit = size_t{1} << 22;

std::string ReadHostText(const std::string& path) {
  return base::ReadFd(base::OpenHostPath(path, O_RDONLY).get(), kFileLimit, path);
}

bool IsOurs(const std::string& name) {
  return name.starts_with(kPrefix) && name.size() == kPrefix.size() + kRandomDigits;
}

UniqueFd OpenGroup(int parent, const std::string& name) {
  return UniqueFd(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

bool IsThere(int parent, const std::string& name) {
  struct stat info;
  return fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

// False with errno set.
bool WriteGroupFile(int group, const char* file, std::string_view text) {
  errno = WriteSetting(group, {.file = file, .value = std::string(text)});
  return errno == 0;
}

// With the groups in it. What still has a process stays: processes that are just ending, whose
// directory goes at the next sweep.
void RemoveGroup(int parent, const std::string& name) {
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) return;
  const UniqueFd dir = OpenGroup(parent, name);
  if (!dir.valid()) return;
  for (const base::DirEntry& entry : base::ListDir(dir.get())) {
    if (entry.type != DT_DIR) continue;
    const UniqueFd leaf = OpenGroup(dir.get(), entry.name);
    if (leaf.valid()) WriteGroupFile(leaf.get(), "cgroup.kill", "1");  // v2 only
    unlinkat(dir.get(), entry.name.c_str(), AT_REMOVEDIR);
  }
  unlinkat(parent, name.c_str(), AT_REMOVEDIR);
}

void Sweep(int parent) {
  for (const base::DirEntry& entry : base::ListDir(parent)) {
    if (entry.type != DT_DIR || !IsOurs(entry.name)) continue;
    const UniqueFd dir = OpenGroup(parent, entry.name);
    if (dir.valid() && flock(dir.get(), LOCK_EX | LOCK_NB) == 0) RemoveGroup(parent, entry.name);
  }
}

std::string NewName() {
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) < 0) ThrowErrno("naming a control group");
  return fmt::format("{}{:016x}", kPrefix, random);
}

// A sweep may lock and remove it between our mkdir and our lock: then there is another try.
UniqueFd MakeLocked(int parent, std::string& name) {
  while (true) {
    name = NewName();
    if (mkdirat(parent, name.c_str(), 0755) < 0) ThrowErrno("making a control group");
    UniqueFd dir = OpenGroup(parent, name);
    if (!dir.valid()) continue;
    while (flock(dir.get(), LOCK_EX) < 0) {
      if (errno != EINTR) ThrowErrno("locking a control group");
    }
    if (IsThere(parent, name)) return dir;
  }
}

// systemd marks groups that it has given away (Delegate=) so that others can tell.
bool IsDelegated(const std::string& path) {
  char value = 0;
  for (const char* name : {"trusted.delegate", "user.delegate"}) {
    if (getxattr(path.c_str(), name, &value, 1) == 1 && value == '1') return true;
  }
  return false;
}

// Of all groups of the host: it alone may have processes and groups with limits below it.
bool IsWholeHierarchy(const std::string& path) {
  struct stat info;
  return stat((path + "/cgroup.type").c_str(), &info) < 0;
}

// The group in which ours may be made: the topmost one that this process sees, if it is in it (all
// of a host, or what a container was given), or one that was delegated.
std::optional<std::string> PlaceInV2(const Hierarchy& hierarchy) {
  if (hierarchy.own.empty()) return hierarchy.mount_point;
  for (std::string own = hierarchy.own;; own.resize(own.rfind('/'))) {
    if (IsDelegated(hierarchy.mount_point + own)) return hierarchy.mount_point + own;
    if (own.empty()) return std::nullopt;
  }
}

// With everybody else in it, a shell for instance: who stays would keep the group from having
// limits below it.
void LeaveDelegatedGroup(int group) {
  if (mkdirat(group, kEngineLeaf, 0755) < 0 && errno != EEXIST)
    ThrowErrno("making a control group for the engine");
  const UniqueFd leaf = OpenGroup(group, kEngineLeaf);
  for (int attempt = 0; attempt < kMoveAttempts; ++attempt) {
    const UniqueFd processes = base::OpenAt(group, "cgroup.procs", O_RDONLY);
    const std::string pids = base::ReadFd(processes.get(), kFileLimit, "a control group");
    if (base::Trim(pids).empty()) return;
    for (const std::string& pid : base::Split(base::Trim(pids), '\n')) {
      // One that has ended meanwhile is gone all the same.
      if (!WriteGroupFile(leaf.get(), "cgroup.procs", pid) && errno != ESRCH)
        ThrowErrno("moving processes to a control group of their own");
    }
  }
}

}  // namespace

EngineGroups::EngineGroups(const std::vector<Hierarchy>& hierarchies) {
  for (const Hierarchy& hierarchy : hierarchies) {
    try {
      Use(hierarchy);
    } catch (const Error& error) {
      for (const Controller controller : hierarchy.controllers)
        why_not_[controller] = base::Join(error.chain(), ": ");
    }
  }
}

EngineGroups::~EngineGroups() {
  for (const GroupDirectory& directory : directories_) {
    try {
      RemoveGroup(directory.parent.get(), directory.name);
    } catch (const Error&) {
      // The next engine's sweep takes it.
    }
  }
}

void EngineGroups::Use(const Hierarchy& hierarchy) {
  switch (hierarchy.version) {
    case GroupVersion::kV1:
      return Make({hierarchy.version, hierarchy.controllers},
                  hierarchy.mount_point + hierarchy.own);
    case GroupVersion::kV2:
      return UseV2(hierarchy);
  }
}

void EngineGroups::UseV2(const Hierarchy& hierarchy) {
  const std::string own = hierarchy.mount_point + hierarchy.own;
  const Controllers there = ControllersIn(ReadHostText(own + "/cgroup.controllers"), ' ');
  if (there.empty()) return;  // beside v1 hierarchies that have them
  const std::optional<std::string> place = PlaceInV2(hierarchy);
  if (!place.has_value()) {
    for (const Controller controller : there) {
      why_not_[controller] =
          fmt::format("control group `{}` is not delegated to rundlet", hierarchy.own);
    }
    delegated_ = false;
    return;
  }
  const UniqueFd group = base::OpenHostPath(*place, O_RDONLY | O_DIRECTORY);
  if (*place == own && !IsWholeHierarchy(own)) LeaveDelegatedGroup(group.get());
  Controllers usable = {Controller::kCpuTime};
  for (const Controller controller : there) {
    if (WriteGroupFile(group.get(), "cgroup.subtree_control",
                       fmt::format("+{}", NameOf(controller)))) {
      usable.insert(controller);
    } else {
      why_not_[controller] = fmt::format("enabling it in control group `{}`: {}", hierarchy.own,
                                         base::ErrnoText(errno));
    }
  }
  Make({hierarchy.version, usable}, *place);
}

void EngineGroups::Make(GroupKind kind, const std::string& place) {
  GroupDirectory made = {.kind = std::move(kind),
                         .place = place,
                         .parent = base::OpenHostPath(place, O_RDONLY | O_DIRECTORY),
                         .name = {},
                         .dir = {}};
  Sweep(made.parent.get());
  made.dir = MakeLocked(made.parent.get(), made.name);
  if (made.kind.version == GroupVersion::kV2) {
    for (const Controller controller : made.kind.controllers) {
      if (controller == Controller::kCpuTime) continue;
      WriteGroupFile(made.dir.get(), "cgroup.subtree_control",
                     fmt::format("+{}", NameOf(controller)));
    }
  }
  directories_.push_back(std::move(made));
}

bool EngineGroups::Has(Controller controller) const {
  return std::any_of(directories_.begin(), directories_.end(), [&](const GroupDirectory& one) {
    return one.kind.controllers.contains(controller);
  });
}

std::string EngineGroups::WhyNot(Controller controller) const {
  const auto found = why_not_.find(controller);
  return found != why_not_.end() ? found->second : "no control group of this host has it";
}

void EngineGroups::Require(const Limits& limits) const {
  const auto require = [this](Controller controller, const char* what) {
    if (Has(controller)) return;
    Error error(Fault::kHost, fmt::format("limiting the {} of a sandbox", what));
    error.Because(
        fmt::format("controller `{}` cannot be used: {}", NameOf(controller), WhyNot(controller)));
    if (delegated_) throw std::move(error).Hint("`rundlet doctor` says what this host offers");
    throw NotDelegated(std::move(error).Hint(
        "on a host with systemd, `systemd-run --scope -p Delegate=yes rundlet ...` gives it one"));
  };
  if (limits.memory.has_value()) require(Controller::kMemory, "memory");
  if (limits.cpus.has_value()) require(Controller::kCpu, "cpu time");
  if (limits.pids.has_value()) require(Controller::kPids, "processes");
}

GroupUsage EngineGroups::UsageOf(uint64_t leaf) const {
  GroupUsage usage;
  for (const GroupDirectory& directory : directories_) {
    const UniqueFd group = OpenGroup(directory.dir.get(), std::to_string(leaf));
    if (group.valid()) ReadUsage(directory.kind, group.get(), usage);
  }
  return usage;
}

void EngineGroups::RemoveLeaf(uint64_t leaf) {
  const std::lock_guard lock(mutex_);
  busy_.push_back(leaf);
  std::erase_if(busy_, [this](uint64_t candidate) {
    bool gone = true;
    for (const GroupDirectory& directory : directories_) {
      const std::string name = std::to_string(candidate);
      if (unlinkat(directory.dir.get(), name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT)
        gone = false;
    }
    return gone;
  });
}

std::vector<Hierarchy> HierarchiesOfThisProcess() {
  return FindHierarchies(ReadHostText("/proc/self/mountinfo"), ReadHostText("/proc/self/cgroup"));
}

}  // namespace rundlet::runtime
