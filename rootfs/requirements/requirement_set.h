// What a user asks for, whatever form they wrote it in: the input of a resolution.
#pragma once

#include <string>
#include <vector>

#include "base/digest.h"
#include "rootfs/requirements/requirement.h"

namespace rundlet::rootfs {

// Where some packages come from: from there alone, whether they are asked for or brought along.
struct PinnedIndex {
  std::string name;                   // "torch-cu128"
  std::string url;                    // a simple index, without credentials
  std::vector<std::string> packages;  // normalised, sorted, each once
  bool operator==(const PinnedIndex&) const = default;
};

struct RequirementSet {
  std::vector<Requirement> requirements;
  std::vector<Requirement> constraints;   // bounds on what comes along; they ask for nothing
  std::vector<base::Digest> hashes;       // not empty: every wheel must be one of these
  bool closed = false;                    // a lock's own list: nothing else comes along
  std::vector<PinnedIndex> indexes = {};  // sorted by name; no package in two
  std::vector<std::string> built = {};    // packages to build from source; normalised, sorted
  std::string uploaded_before = {};       // "2026-01-31T00:00:00Z"; empty: whenever
  // Names of distributions whose files win where two bring the same: part of the environment, not
  // of the resolution.
  std::vector<std::string> preferred;
  bool operator==(const RequirementSet&) const = default;
};

// Over what decides a resolution: order, repetition and spelling do not matter.
base::Digest DigestOf(const RequirementSet& set);

// In the form of RequirementSet. Throws base::Error (kInvalid) for names that cannot be, a URL that
// is no plain http or https URL, a name that is there twice, and a package in two indexes.
std::vector<PinnedIndex> CheckIndexes(std::vector<PinnedIndex> indexes);

// In the form of RequirementSet::built. Throws base::Error (kInvalid) for what is no package's
// name.
std::vector<std::string> CheckBuilt(std::vector<std::string> names);

// "2026-01-31", which is its first moment in UTC, or "2026-01-31T12:00:00Z". Throws base::Error
// (kInvalid) for anything else.
std::string ParseMoment(std::string_view text);

// Throws base::Error (kInvalid), as ParseRequirement does.
RequirementSet ParseRequirements(const std::vector<std::string>& texts);

}  // namespace rundlet::rootfs
