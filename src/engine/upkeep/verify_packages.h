// Whether the store's wheels and packages are still what they were when they were made.
#pragma once

#include <string>
#include <vector>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "store/entry.h"

namespace rundlet::engine {

enum class Repair {
  kNone,     // say what is damaged
  kReplace,  // remove what is damaged, and install it again where a lock says from where
};

enum class Depth {
  kMemory,  // what programs would read: the page cache, mostly
  kDisk,    // also whether that is what the disk holds, in layers of images too
};

struct VerifyRequest {
  Repair repair = Repair::kNone;
  Depth depth = Depth::kMemory;
};

struct DamagedEntry {
  enum class State {
    kDamaged,   // as it was found
    kRepaired,  // made again
    kRemoved,   // gone; made again when it is next needed
    kInUse,     // a lease holds it: try again when nothing runs
  };
  store::Kind kind{};
  std::string key;
  std::string name;
  std::string cause;  // "`lib/.../six.py` has other bytes"
  State state = State::kDamaged;
};
const char* NameOf(DamagedEntry::State state);  // "damaged", "repaired", ...

struct Verification {
  size_t entries = 0;  // looked at
  uint64_t bytes = 0;
  std::vector<DamagedEntry> damaged;
};

// Reads every byte of the wheels, packages and lowers. A layer is not repaired: what is wrong with
// it is in memory only. Throws base::Error when something that was removed cannot be made again
// (network), and when the file system does not read past its cache (kDisk); Cancelled.
Verification VerifyPackages(Engine& engine, const VerifyRequest& request, EventBus& events,
                            const base::CancelToken* cancel);

}  // namespace rundlet::engine
