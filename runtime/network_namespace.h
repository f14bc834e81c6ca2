// Network namespaces with nothing but a loopback that is up. They belong to the user namespace of
// whoever makes them.
#pragma once

#include "base/fd.h"

namespace rundlet::runtime {

// Moves the calling thread into a new one. Throws base::Error.
void EnterNewNetworkNamespace();

// A new one; the calling thread stays where it is. Throws base::Error.
base::UniqueFd NewNetworkNamespace();

}  // namespace rundlet::runtime
