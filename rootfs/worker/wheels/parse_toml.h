// TOML as JSON, with the line of every key.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace rundlet::rootfs::worker {

// {"data": {...}, "lines": {"python.version": 4, "packages[0].name": 9}}. Dates and times become
// strings. Throws base::Error (kInvalid) with line and column for text that is no TOML, or nests
// deeper than 64.
nlohmann::json TomlToJson(std::string_view text);

}  // namespace rundlet::rootfs::worker
