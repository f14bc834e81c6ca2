// Base64 as programs write it into their settings (RFC 4648, with padding).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rundlet::base {

// Nothing for a text that is no base64, or not whole.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace rundlet::base
