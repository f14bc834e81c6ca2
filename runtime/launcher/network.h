// Network namespaces made ahead.
//
// Making one takes about as long as everything else that clone does, so the launcher sits in a
// fresh one with loopback up, which the next sandbox inherits; and moves on to another while that
// sandbox runs. The first one the engine makes, while the launcher starts. It belongs to the
// initial user namespace: no process of a sandbox has a capability in it.
#pragma once

#include "base/fd.h"
#include "runtime/spec/sandbox_spec.h"

namespace rundlet::runtime {

class NetworkNamespaces {
 public:
  // Remembers the namespace the caller is in as the host's. Throws base::Error.
  NetworkNamespaces();
  // An unused one. Throws base::Error.
  void Enter(const base::UniqueFd& fresh);
  // Puts the caller where the next clone is to be. Throws base::Error.
  void EnterFor(Network network);
  // The namespace the caller is in now belongs to a sandbox.
  void GivenAway() { fresh_ = false; }
  // A socket that listens in the namespace that was entered for kProxied. Throws base::Error.
  base::UniqueFd Listen() const;
  // Moves on to a fresh one if the current one is given away. When that fails, EnterFor tries again
  // and reports it.
  void PrepareNext() noexcept;

 private:
  base::UniqueFd host_;
  bool fresh_ = false;  // the caller is in an unused namespace
};

}  // namespace rundlet::runtime
