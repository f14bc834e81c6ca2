// What an administrator decides: where the state is, which package index is used, how hosts are
// reached.
//
// Sources, strongest first: the command line, RUNDLET_* environment variables, defaults. A
// project's files never decide any of this (docs/reference/configuration.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rootfs/images/registry_mirror.h"
#include "runtime/spec/sandbox_spec.h"

namespace rundlet::engine {

struct Config {
  std::string state_dir;  // --state, RUNDLET_STATE
  std::string index_url;  // RUNDLET_INDEX: a simple index (PEP 503)
  std::string
      ca_bundle;  // RUNDLET_CA_BUNDLE, SSL_CERT_FILE: PEM file; the host's bundle by default
  std::string proxy_http;  // http_proxy, https_proxy, no_proxy of the administrator's environment
  std::string proxy_https;
  std::string no_proxy;
  std::string private_hosts;  // RUNDLET_PRIVATE_HOSTS: may be downloaded from at inner addresses
  std::string netrc;          // NETRC, or ~/.netrc: credentials of package indexes; may be absent
  unsigned network_timeout = 20;  // RUNDLET_NETWORK_TIMEOUT: seconds that a server may be silent
  double build_timeout = 1800;    // RUNDLET_BUILD_TIMEOUT: seconds that building a wheel may take
  double python_timeout = 600;    // RUNDLET_PYTHON_TIMEOUT: seconds that what rundlet itself starts
                                  // of an image may take
  uint64_t kept_inputs = uint64_t{1} << 30;  // RUNDLET_KEPT_INPUTS: bytes that a run may keep of
                                             // what its failed steps read
  unsigned prune_after = 90;  // RUNDLET_PRUNE_AFTER: days unused, after which packages,
                              // locks and caches go by themselves; 0: never
  std::optional<uint64_t> prune_packages;  // RUNDLET_PRUNE_PACKAGES: the most bytes they may have
  std::optional<uint64_t> prune_caches;    // RUNDLET_PRUNE_CACHES: the same of locks and caches
  std::vector<rootfs::RegistryMirror> mirrors;  // RUNDLET_MIRRORS
  bool offline = false;  // --offline, RUNDLET_OFFLINE: nothing is downloaded or resolved
  runtime::IdRange ids;
  unsigned cores = 1;  // steps and installs at once
};

// From the environment of this process. Throws base::Error (kInvalid) for values that cannot be.
Config ConfigFromEnvironment();

}  // namespace rundlet::engine
