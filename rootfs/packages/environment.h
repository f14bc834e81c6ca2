// Environments: an interpreter and an ordered stack of package directories, mounted read-only at
// /env.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/formats/interpreter.h"
#include "rootfs/packages/collisions.h"
#include "runtime/spec/mount_plan.h"
#include "store/store.h"

namespace rundlet::rootfs {

// One distribution as it is in the store.
struct InstalledDistribution {
  Distribution distribution;
  store::EntryInfo package;
  std::optional<store::EntryInfo> lower;  // with bytecode; the package itself is used when absent
};

struct EnvironmentParts {
  Interpreter interpreter;
  std::string venv_key;                              // of EnsureVenv
  std::vector<InstalledDistribution> distributions;  // in any order, each name once
  std::vector<std::string> preferred;  // names of distributions that lie on top of the others
};

struct Environment {
  base::Digest
      digest;  // equal parts, whatever their order, give equal digests; bytecode does not count
  std::vector<std::string>
      lowers;  // relative to the state directory, topmost first, the venv's skeleton last
};

// Puts an environment together: a pure function, cheap enough for every start. Preferred
// distributions come first, then all by name. Throws base::Error (kInvalid) for a name that is
// there twice or a preferred one that is not there. One of more than kMostStacked packages is to be
// flattened (flat_tree.h) before it is mounted.
Environment Compose(const EnvironmentParts& parts);

// The mount for it.
runtime::Mount EnvironmentMount(const Environment& environment);

// The same without an overlay: every layer is mounted by itself, and found by search paths. What
// that cannot do is told in docs/concepts/environments.md.
struct BoundEnvironment {
  std::vector<runtime::Mount> mounts;  // the skeleton at /env, all others below kPackagesPrefix
  std::string programs;                // for PATH, before what is there already
  std::string modules;                 // for PYTHONPATH
};
BoundEnvironment BindEnvironment(const Environment& environment, const Interpreter& interpreter);

// Reads the RECORDs and throws when two distributions collide (collisions.h); returns what is worth
// a warning in words. The result depends on the environment's digest alone: keep it under that.
std::vector<std::string> CheckEnvironment(store::Store& store, const EnvironmentParts& parts);

}  // namespace rundlet::rootfs
