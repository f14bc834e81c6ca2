#include "plans/utf8.h"

#include <cstdint>

namespace rundlet::plans {
namespace {

struct Lead {
  size_t more;  // continuation bytes
  unsigned char low,
      high;  // of the first continuation byte: here the ill-formed ranges are cut away
};

Lead LeadOf(unsigned char byte) {
  if (byte < 0x80) return {0, 0, 0};
  if (byte >= 0xC2 && byte <= 0xDF) return {1, 0x80, 0xBF};
  if (byte == 0xE0) return {2, 0xA0, 0xBF};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {2, 0x80, 0xBF};
  if (byte == 0xF0) return {3, 0x90, 0xBF};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  if (byte >= 0xF1 && byte <= 0xF3) return {3, 0x80, 0xBF};
  return {SIZE_MAX, 0, 0};
}

}  // namespace

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const Lead lead = LeadOf(static_cast<unsigned char>(text.front()));
    if (lead.more >= text.size()) return false;
    for (size_t i = 1; i <= lead.more; ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      if (byte < (i == 1 ? lead.low : 0x80) || byte > (i == 1 ? lead.high : 0xBF)) return false;
    }
    text.remove_prefix(lead.more + 1);
  }
  return true;
}

}  // namespace rundlet::plans
