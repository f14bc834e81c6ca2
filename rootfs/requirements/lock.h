// A lock: the exact distributions that a set of requirements resolves to for one interpreter and
// platform.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/requirements/requirement_set.h"

namespace rundlet::rootfs {

struct Lock {
  std::vector<Distribution> distributions;  // sorted by name, each name once
  int64_t resolved_at = 0;                  // seconds since the epoch
  std::vector<std::string> warnings = {};   // what the resolver had to say: yanked releases
  // RequirementSet::preferred of whoever asked; not part of what is kept.
  std::vector<std::string> preferred = {};
  bool operator==(const Lock&) const = default;
};

// JSON text of our own schema, versioned.
std::string EncodeLock(const Lock& lock);
// Throws base::Error (kInvalid) for anything but what EncodeLock writes: other versions, unknown or
// ill-typed fields, distributions that CheckDistribution refuses, wrong order.
Lock DecodeLock(std::string_view text);

// What a resolution depends on, apart from the moment.
struct LockInputs {
  RequirementSet set;                     // lists in any order, repeated at will
  base::Digest interpreter;               // its identity: it tells the resolver what it likes
  std::string machine;                    // "x86_64"
  std::string index;                      // URL of the package index
  std::vector<base::Digest> realms = {};  // of those indexes that are asked with credentials
};

// The name under which a lock is kept. Order, repetition and spelling of requirements do not
// matter.
base::Digest LockInputsKey(const LockInputs& inputs);

}  // namespace rundlet::rootfs
