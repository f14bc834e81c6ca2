// The first rows of a table, for people.
#pragma once

#include <string>

#include "engine/run/run_pipeline.h"

namespace rundlet::cli {

// A title line, then aligned columns; numbers to the right.
std::string PreviewText(const engine::Preview& preview);

}  // namespace rundlet::cli
