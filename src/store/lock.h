// Open-file-description locks on byte ranges: owned by the open file, so they work between threads,
// and the kernel drops them when the last descriptor of it closes, kill -9 included. (The older
// fcntl locks belong to the process: closing any descriptor of the file drops them all.)
#pragma once

#include <sys/types.h>

namespace rundlet::store {

enum class LockMode { kShared, kExclusive };

struct ByteRange {
  off_t start = 0;
  off_t length = 1;
};

// False when another open file holds a conflicting lock. `fd` is open for reading and writing.
bool TryLock(int fd, LockMode mode, ByteRange range);

// Waits, without a way to be interrupted: only for locks that are held for moments.
void Lock(int fd, LockMode mode, ByteRange range);

}  // namespace rundlet::store
