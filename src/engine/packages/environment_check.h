// What is wrong or odd about an environment as a whole: found once, when it is first put together.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "rootfs/images/image.h"
#include "rootfs/packages/environment.h"

namespace rundlet::engine {

// Warnings: files that two distributions share, modules that the standard library hides, libraries
// that the image lacks. Kept for the environment and the image. Throws base::Error (kInvalid) for a
// collision.
std::vector<std::string> CheckOnce(Engine& engine, const rootfs::Image& image,
                                   const rootfs::EnvironmentParts& parts,
                                   const base::Digest& environment);

// What CheckOnce found before; nullopt when it was not asked.
std::optional<std::vector<std::string>> KeptWarnings(Engine& engine, const rootfs::Image& image,
                                                     const base::Digest& environment);

}  // namespace rundlet::engine
