// Package indexes as this run reaches them: with the credentials that the administrator's netrc
// file has for their hosts, and through a gate where a sandbox asks them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "engine/core/engine.h"
#include "rootfs/formats/index_access.h"
#include "rootfs/formats/index_gate.h"
#include "rootfs/requirements/requirement_set.h"
#include "runtime/launcher.h"

namespace rundlet::engine {

// Throws base::Error (kInvalid) when the netrc file has the host and is no such file, or may be
// read by others.
rootfs::IndexAccess AccessTo(Engine& engine, const std::string& url);

// The indexes of a set: the administrator's, then those that packages are pinned to.
class IndexAccesses {
 public:
  IndexAccesses(Engine& engine, const rootfs::RequirementSet& set);

  const std::vector<rootfs::IndexAccess>& all() const { return all_; }
  // Where a package comes from, by its normalised name.
  const rootfs::IndexAccess& Of(const std::string& package) const;
  // What is presented to them. Empty: nothing, and what comes is anybody's.
  std::vector<base::Digest> realms() const;

 private:
  std::vector<rootfs::IndexAccess> all_;
  std::vector<rootfs::PinnedIndex> pinned_;
};

// What the resolver's sandbox has for a network: its own loopback, where a worker serves these
// indexes and nothing else.
class IndexGate {
 public:
  IndexGate(Engine& engine, const IndexAccesses& indexes);

  // In the order of the accesses.
  const std::vector<rootfs::GatedIndex>& addresses() const { return addresses_; }
  // For a sandbox that was started with Network::kProxied, until what it gives is destroyed.
  runtime::Sandbox Serve(runtime::Sandbox& sandbox) const;
  // What an index answered instead of a page or a file, the first time; nothing when all was well.
  std::optional<base::Error> Failure() const;

 private:
  Engine& engine_;
  std::vector<rootfs::IndexAccess> accesses_;
  std::vector<rootfs::GatedIndex> addresses_;
  base::Digest key_;
  base::UniqueFd failures_;
};

}  // namespace rundlet::engine
