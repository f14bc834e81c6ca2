// Containers of a docker daemon, by its API: create, start, wait, remove.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "starts.h"

namespace rundlet::bench {

// {"socket": PATH, "container": OBJECT}: the body of the API's "create".
std::unique_ptr<Start> MakeDockerStart(const nlohmann::json& description);

}  // namespace rundlet::bench
