// Points in time, for people.
#pragma once

#include <cstdint>
#include <string>

namespace rundlet::cli {

// "2026-01-31 15:45:02", in the user's time zone.
std::string TimeText(int64_t seconds_since_epoch);

}  // namespace rundlet::cli
