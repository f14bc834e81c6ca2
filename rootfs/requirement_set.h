// What a user asks for, whatever form they wrote it in: the input of a resolution.
#pragma once

#include <string>
#include <vector>

#include "base/digest.h"
#include "rootfs/resolve_requirement.h"

namespace rundlet::rootfs {

struct RequirementSet {
  std::vector<Requirement> requirements;
  std::vector<Requirement> constraints;  // bounds on what comes along; they ask for nothing
  std::vector<base::Digest> hashes;      // not empty: every wheel must be one of these
  bool closed = false;                   // a lock's own list: nothing else comes along
  // Names of distributions whose files win where two bring the same: part of the environment, not
  // of the resolution.
  std::vector<std::string> preferred;
  bool operator==(const RequirementSet&) const = default;
};

// Over what decides a resolution: order, repetition and spelling do not matter.
base::Digest DigestOf(const RequirementSet& set);

// Throws base::Error (kInvalid), as ParseRequirement does.
RequirementSet ParseRequirements(const std::vector<std::string>& texts);

}  // namespace rundlet::rootfs
