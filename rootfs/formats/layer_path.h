// Names inside a layer or an archive are bytes; JSON is UTF-8. Between engine and worker they
// travel percent-encoded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rundlet::rootfs {

// Bytes outside 0x21..0x7e, and "%", become "%" and two upper-case hex digits.
std::string EncodePath(std::string_view path);
// Nothing for a text that EncodePath does not make.
std::optional<std::string> DecodePath(std::string_view text);

}  // namespace rundlet::rootfs
