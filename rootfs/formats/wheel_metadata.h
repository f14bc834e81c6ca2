// The two header files of a wheel's .dist-info that decide how it is installed: METADATA and WHEEL.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rundlet::rootfs {

// METADATA (core metadata): who the distribution is. The rest of it is not rundlet's business.
struct WheelMetadata {
  std::string name;     // as written
  std::string version;  // as written
};

// WHEEL: how the archive is laid out.
struct WheelFormat {
  bool root_is_purelib = true;
  std::vector<std::string> tags;  // "cp311-cp311-manylinux_2_17_x86_64"
};

// Both parse RFC 822-like headers up to the first empty line, and throw base::Error (kInvalid) for
// what a valid file cannot hold: a missing, repeated or malformed field, NUL bytes.
WheelMetadata ParseMetadata(std::string_view text);
// Refuses a Wheel-Version other than 1.x.
WheelFormat ParseWheelFormat(std::string_view text);

}  // namespace rundlet::rootfs
