#include "store/lock.h"

#include <fcntl.h>

#include <cerrno>

#include "base/error.h"

namespace rundlet::store {
namespace {

// The result of fcntl: 0, or -1 with errno set.
int Apply(int fd, int command, LockMode mode, ByteRange range) {
  struct flock lock {};
  lock.l_type = mode == LockMode::kShared ? F_RDLCK : F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = range.start;
  lock.l_len = range.length;
  int result;
  do {
    result = fcntl(fd, command, &lock);
  } while (result < 0 && errno == EINTR);
  return result;
}

}  // namespace

bool TryLock(int fd, LockMode mode, ByteRange range) {
  if (Apply(fd, F_OFD_SETLK, mode, range) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  base::ThrowErrno("locking a file of the store");
}

void Lock(int fd, LockMode mode, ByteRange range) {
  if (Apply(fd, F_OFD_SETLKW, mode, range) < 0) base::ThrowErrno("locking a file of the store");
}

}  // namespace rundlet::store
