// rundlet's system-call filter for other runtimes.
#pragma once

#include <nlohmann/json.hpp>

namespace rundlet::bench {

// The policy of runtime/seccomp/policy.h as the seccomp object of an OCI runtime configuration,
// which docker takes as well.
nlohmann::json FilterAsProfile();

}  // namespace rundlet::bench
