// The walls around a program that a test takes away one by one, to see that its attack then gets
// through: what a wall holds back is proven by what comes when it is gone.
//
// In the program that is installed all of them stand, and nothing can change that: the question is
// answered by the compiler. rundlet-launcher-weak is the same sources with RUNDLET_WEAK defined; it
// is built for the tests only, and never installed.
#pragma once

#include <cstdint>

#include "runtime/spec/record.h"

namespace rundlet::runtime {

enum class Defence : uint32_t {
  kFilter,        // the system-call filter
  kNoNewPrivs,    // no privileges by exec
  kNoSuid,        // mounts that ignore setuid bits
  kCapabilities,  // none left, and ids that cannot be changed
  kLandlock,      // a second look at where it writes, and at whom it speaks to
  kReadOnly,      // shared mounts cannot be written
  kProcReadOnly,  // nor can procfs
  kProcMasks,     // what it tells about the host is hidden
  kNetwork,       // a network namespace of its own
  kProcesses,     // a pid namespace of its own
  kSession,       // a session of its own
  kKeyring,       // a session keyring of its own
  kIds,           // ids of nobody on the host
  kDescriptors,   // what the launcher had open is closed
  kInRoot,        // mount points are looked up in the sandbox's root
  kBareRoot,      // it begins where nothing else is mounted
  kDirectory,     // it starts in a directory below its root
  kInit,          // its init cannot be looked into
  kLifeline,      // it ends with the engine
  kLimits,        // of memory, processes, processor time and disk
  kCount,
};

#ifdef RUNDLET_WEAK
// Reads which to leave out, and where to stop, from a file beside the program. Throws base::Error.
void Weaken();
bool Stands(Defence defence);
// When `stage` is the one to stop at: says that it was reached, and waits for leave to go on.
void StopAt(Stage stage);
#else
constexpr void Weaken() {}
constexpr bool Stands(Defence) { return true; }
constexpr void StopAt(Stage) {}
#endif

}  // namespace rundlet::runtime
