// What uv keeps between its runs: below cache/uv, a folder for each interpreter and each set of
// logins. An image's Python runs beside uv and may write there.
#pragma once

#include <string>
#include <vector>

#include "base/digest.h"
#include "engine/core/engine.h"

namespace rundlet::engine {

// Of an interpreter and the realms of its indexes (none: for everybody), relative to the state
// directory; made, and noted as used.
std::string OpenUvCache(Engine& engine, const base::Digest& interpreter,
                        const std::vector<base::Digest>& realms);

// Removes it when it is more than a cache of uv's comes to: 1 GiB on the disk.
void BoundUvCache(Engine& engine, const std::string& folder);

}  // namespace rundlet::engine
