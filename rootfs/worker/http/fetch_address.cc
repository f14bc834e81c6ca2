#include "rootfs/worker/http/fetch_address.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "base/walls.h"

namespace rundlet::rootfs::worker {
namespace {

struct Block4 {
  uint32_t network;
  int bits;
};

// IANA's special-purpose registry, as far as it is not globally reachable. The documentation blocks
// are not in it: no network has inner services there, and test networks stand in for the public one
// with them.
constexpr std::array kRefused4 = {
    Block4{0x00000000, 8},  Block4{0x0a000000, 8},  Block4{0x64400000, 10}, Block4{0x7f000000, 8},
    Block4{0xa9fe0000, 16}, Block4{0xac100000, 12}, Block4{0xc0000000, 24}, Block4{0xc0a80000, 16},
    Block4{0xc6120000, 15}, Block4{0xe0000000, 3},
};

bool IsPublic4(uint32_t address) {
  return std::none_of(kRefused4.begin(), kRefused4.end(), [&](const Block4& block) {
    return (address >> (32 - block.bits)) == (block.network >> (32 - block.bits));
  });
}

bool IsPublic6(const in6_addr& address) {
  const uint8_t* bytes = address.s6_addr;
  const auto wrapped = [&](int at) {
    return (uint32_t{bytes[at]} << 24) | (uint32_t{bytes[at + 1]} << 16) |
           (uint32_t{bytes[at + 2]} << 8) | uint32_t{bytes[at + 3]};
  };
  if (IN6_IS_ADDR_V4MAPPED(&address)) return IsPublic4(wrapped(12));
  constexpr std::array<uint8_t, 12> kNat64 = {0x00, 0x64, 0xff, 0x9b};
  if (std::memcmp(bytes, kNat64.data(), kNat64.size()) == 0) return IsPublic4(wrapped(12));
  if (bytes[0] == 0x20 && bytes[1] == 0x02) return IsPublic4(wrapped(2));  // 6to4
  if (bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] < 0x02)
    return false;                    // Teredo and its neighbours
  return (bytes[0] & 0xe0) == 0x20;  // 2000::/3 is what is given out
}

}  // namespace

bool IsPublicAddress(const sockaddr& address) {
  if (!base::Holds(base::Wall::kInnerAddresses)) return true;
  if (address.sa_family == AF_INET) {
    return IsPublic4(ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    return IsPublic6(reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  }
  return false;
}

}  // namespace rundlet::rootfs::worker
