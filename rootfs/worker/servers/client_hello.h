// The first message of a TLS connection (RFC 8446, 4.1.2; RFC 6066, 3), as far as it says whom it
// is for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace rundlet::rootfs::worker {

struct ClientHello {
  enum class State {
    kPartial,  // more bytes are needed
    kInvalid,  // it is not one, is too long, or names nobody
    kNamed,
  };
  State state = State::kPartial;
  std::string host;  // kNamed: as it is written
};

// The longest that is read, with its records' headers.
constexpr size_t kMaxClientHello = size_t{32} * 1024;

// `bytes` is the beginning of what the client sent. One with an encrypted inner hello is invalid:
// that may name somebody else.
ClientHello ReadClientHello(std::span<const uint8_t> bytes);

}  // namespace rundlet::rootfs::worker
