// Whether the store's wheels and packages are still what they were when they were made.
#pragma once

#include <string>
#include <vector>

#include "base/cancel.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "store/entry.h"

namespace rundlet::engine {

enum class Repair {
  kNone,     // say what is damaged
  kReplace,  // remove what is damaged, and install it again where a lock says from where
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

// Reads every byte of the wheels, packages and lowers. Throws base::Error when something that was
// removed cannot be made again (network), Cancelled.
Verification VerifyPackages(Engine& engine, Repair repair, EventBus& events,
                            const base::CancelToken* cancel);

}  // namespace rundlet::engine
