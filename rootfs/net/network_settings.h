// How this host reaches the network, as workers are told.
#pragma once

#include <string>
#include <vector>

#include "rootfs/formats/index_access.h"
#include "rootfs/worker_client.h"

namespace rundlet::rootfs {

// The administrator's settings, never a request's.
struct NetworkSettings {
  int ca_bundle = -1;                 // open descriptor of a PEM file, borrowed; -1: curl's default
  std::string proxy;                  // URL; empty: none
  std::vector<std::string> no_proxy;  // hosts and domains reached without it, or "*"
  std::vector<std::string>
      private_hosts;                    // the configured indexes' hosts: may have inner addresses
  unsigned timeout_seconds = 20;        // how long a server may be silent
  std::vector<IndexLogin> logins = {};  // sent to the scheme, host and port of their URLs only
};

// Gives these settings to a job of a worker that uses the network: as fields of its request, which
// is there already, and the descriptor of the CA bundle as its last file.
void AddNetwork(const NetworkSettings& network, WorkerJob& job);

}  // namespace rundlet::rootfs
