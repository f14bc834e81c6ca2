// A control group that is rundlet's to divide, on a host where a plain shell has none.
#pragma once

#include "base/error.h"

namespace rundlet::cli {

// For the error that ends a command. When it is that this process's group was not delegated to it
// (runtime::NotDelegated) and systemd runs the host, the command is started again, as this process,
// in a scope that systemd delegates: then this does not return. Nothing is tried twice. When
// systemd refuses, its words are added to the error.
void RetryInOwnScope(base::Error& error);

}  // namespace rundlet::cli
