#include "base/base64.h"

#include <nettle/base64.h>

namespace rundlet::base {

std::optional<std::string> DecodeBase64(std::string_view text) {
  base64_decode_ctx context;
  base64_decode_init(&context);
  std::string bytes(BASE64_DECODE_LENGTH(text.size()), '\0');
  size_t length = bytes.size();
  if (base64_decode_update(&context, &length, reinterpret_cast<uint8_t*>(bytes.data()), text.size(),
                           text.data()) != 1 ||
      base64_decode_final(&context) != 1) {
    return std::nullopt;
  }
  bytes.resize(length);
  return bytes;
}

}  // namespace rundlet::base
