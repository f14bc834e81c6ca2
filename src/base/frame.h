// The frame around every private message and record: magic, format, version, length, checksum.
//
// A serialiser is never shown bytes whose frame was not checked first: lengths inside a hostile
// message would make it allocate whatever they say. Layout (little-endian): "RNDL", u32 format, u32
// version, u64 length, 32 bytes SHA-256 of the payload, payload.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rundlet::base {

enum class Format : uint32_t {
  kSandboxSpec = 1,  // engine -> launcher
  kPlan = 2,         // cached plans
};

std::string Seal(Format format, uint32_t version, std::string_view payload);
// Returns the payload. Throws Error (kBug) when the frame is not exactly of this format and
// version, or altered.
std::string_view Unseal(Format format, uint32_t version, std::string_view frame);

}  // namespace rundlet::base
