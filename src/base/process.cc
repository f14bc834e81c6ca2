#include "base/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "base/error.h"

namespace rundlet::base {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Child Spawn(const SpawnRequest& request) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // Copies above every wanted number first, so that one dup2 cannot overwrite the source of
  // another.
  std::vector<UniqueFd> copies;
  int highest = 2;
  for (const auto& [wanted, ours] : request.descriptors) highest = std::max(highest, wanted);
  for (const auto& [wanted, ours] : request.descriptors) {
    UniqueFd copy(fcntl(ours, F_DUPFD_CLOEXEC, highest + 1));
    if (!copy.valid()) ThrowErrno("duplicating a descriptor for `{}`", request.path);
    posix_spawn_file_actions_adddup2(&actions, copy.get(), wanted);
    copies.push_back(std::move(copy));
  }
  posix_spawn_file_actions_addclosefrom_np(&actions, highest + 1);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  Child child;
  const int error =
      posix_spawn(&child.pid, request.path.c_str(), &actions, &attributes,
                  Pointers(request.argv).data(), Pointers(request.environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) throw ErrnoError(error, fmt::format("starting `{}`", request.path));
  child.pidfd = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, child.pid, 0)));
  if (!child.pidfd.valid()) ThrowErrno("opening a pidfd for `{}`", request.path);
  return child;
}

int64_t MonotonicNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace rundlet::base
