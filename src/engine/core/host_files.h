// Host files that a sandbox of ours needs, as detached mounts: shared libraries for workers, and
// what name resolution and TLS need for whoever may use the host's network.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "engine/core/config.h"
#include "runtime/spec/mount_plan.h"
#include "store/lease.h"

namespace rundlet::engine {

// A growing list of mounts: detached ones with the plan entries that name them, and directories of
// the store with what holds them there.
struct HandedMounts {
  std::vector<base::UniqueFd> descriptors;
  std::vector<runtime::Mount> mounts;
  std::vector<store::Lease> leases;

  // Adds a clone of an open file or directory, to be mounted at `target`.
  void Add(int fd, const std::string& target, bool writable = false);
  std::vector<int> numbers() const;
};

// Where the CA bundle is inside every sandbox that has one.
inline constexpr const char* kBundleInside = "/etc/ssl/certs/ca-certificates.crt";

// /etc/resolv.conf, hosts, nsswitch.conf and the CA bundle of the host; absent ones are left out.
void AddNetworkFiles(HandedMounts& handed, const Config& config);

// The CA bundle alone.
void AddBundle(HandedMounts& handed, const Config& config);

// The root of a worker: the host's /usr, read-only, and nothing else of the host.
std::vector<runtime::Mount> WorkerRoot(HandedMounts& handed);

}  // namespace rundlet::engine
