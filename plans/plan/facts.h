// What the engine knows when it plans: gathered from the store, the locks and the files, so that
// planning is pure.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/digest.h"
#include "plans/name.h"
#include "plans/plan/fingerprint.h"

namespace rundlet::plans {

// A locked wheel.
struct Distribution {
  std::string name;  // normalised (PEP 503)
  std::string version;
  base::Digest sha256;  // of the wheel
  uint64_t bytes = 0;   // of the wheel
  auto operator<=>(const Distribution&) const = default;
};

// Equal environments have equal digests; the digest covers the distributions, their order and the
// interpreter.
struct Environment {
  base::Digest digest;
  std::vector<Distribution> distributions;
};

struct ImageFacts {
  base::Digest interpreter;  // the interpreter identity
  std::string version;       // of its Python: "3.11.9"
  Environment engine;        // duckdb and pyarrow, in which sql, scan and materialize tasks run
};

// A package directory with its bytecode: a wheel, for one interpreter.
struct InstalledPackage {
  base::Digest wheel;
  base::Digest interpreter;
  auto operator<=>(const InstalledPackage&) const = default;
};

// The result of an earlier run that can be read again. For an expectation: it held.
struct KeptResult {
  uint64_t rows = 0;
  uint64_t bytes = 0;
  auto operator<=>(const KeptResult&) const = default;
};

struct SourceFacts {
  base::Digest content;  // of all its files, in order
  uint64_t bytes = 0;
};

struct Facts {
  std::map<ImageName, ImageFacts> images;        // of every step, and the engine image
  std::map<StepName, Environment> environments;  // of every python step and expectation
  std::set<InstalledPackage> installed;
  std::set<base::Digest> fetched;                 // sha256 of the wheels that are there
  std::map<TableName, SourceFacts> sources;       // every source table that a step reads
  std::map<base::Digest, KeptResult> results;     // by step fingerprint
  std::map<StepName, FingerprintParts> recorded;  // of the last run of each step that succeeded
};

}  // namespace rundlet::plans
