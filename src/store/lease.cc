#include "store/lease.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/fs.h"
#include "store/lock.h"

namespace rundlet::store {
namespace {

constexpr ByteRange kMakeByte{0, 1};
constexpr ByteRange kUseByte{1, 1};
constexpr ByteRange kBothBytes{0, 2};

// Nothing in the kernel wakes a waiter for a lock and for a cancellation at once, so a waiter looks
// again: soon at first, for makers that are nearly done, and then often enough not to be felt
// beside an install.
constexpr int kFirstWaitMilliseconds = 1;
constexpr int kLongestWaitMilliseconds = 16;

base::UniqueFd OpenLease(int state, const std::string& path) {
  return base::OpenAt(state, path, O_RDWR | O_CREAT, 0600);
}

// False when the file was removed, with its entry, between our opening and our locking it: then the
// lock is on nothing, and the file must be opened anew. Only a holder of both bytes removes it, so
// a locked file stays.
bool IsStillThere(int fd) {
  struct stat info;
  if (fstat(fd, &info) < 0) base::ThrowErrno("looking at a lease");
  return info.st_nlink > 0;
}

// What the maker wrote into the file that it has locked.
MakerProgress ToldIn(int fd) {
  MakerProgress progress;
  if (pread(fd, &progress, sizeof progress, 0) != sizeof progress) return {};
  return progress;
}

}  // namespace

void Lease::Tell(const MakerProgress& progress) const noexcept {
  [[maybe_unused]] const ssize_t written = pwrite(fd_.get(), &progress, sizeof progress, 0);
}

Lease Lease::ToUse(int state, const std::string& path) {
  while (true) {
    base::UniqueFd fd = OpenLease(state, path);
    Lock(fd.get(), LockMode::kShared, kUseByte);
    if (IsStillThere(fd.get())) return Lease(std::move(fd));
  }
}

std::optional<Lease> Lease::ToUseKept(int state, const std::string& path) {
  std::optional<base::UniqueFd> fd = base::TryOpenAt(state, path, O_RDWR);
  if (!fd) return std::nullopt;
  Lock(fd->get(), LockMode::kShared, kUseByte);
  if (!IsStillThere(fd->get())) return std::nullopt;
  return Lease(*std::move(fd));
}

Lease Lease::ToMake(int state, const std::string& path, const base::CancelToken* cancel,
                    const WaitCallback& on_wait) {
  std::optional<MakerProgress> told;
  int wait = kFirstWaitMilliseconds;
  while (true) {
    base::UniqueFd fd = OpenLease(state, path);
    while (!TryLock(fd.get(), LockMode::kExclusive, kMakeByte)) {
      const MakerProgress progress = ToldIn(fd.get());
      if (told != progress && on_wait) on_wait(progress);
      told = progress;
      base::WaitFor(-1, 0, cancel, wait);
      wait = std::min(2 * wait, kLongestWaitMilliseconds);
    }
    if (!IsStillThere(fd.get())) continue;
    Lease lease(std::move(fd));
    // Not what the maker before said, who may have been killed.
    if (ToldIn(lease.fd_.get()) != MakerProgress()) lease.Tell({});
    return lease;
  }
}

std::optional<Lease> Lease::ToRemove(int state, const std::string& path) {
  while (true) {
    base::UniqueFd fd = OpenLease(state, path);
    if (!TryLock(fd.get(), LockMode::kExclusive, kBothBytes)) return std::nullopt;
    if (IsStillThere(fd.get())) return Lease(std::move(fd));
  }
}

}  // namespace rundlet::store
