#include "base/frame.h"

#include <cstring>

#include "base/digest.h"
#include "base/error.h"

namespace rundlet::base {
namespace {

constexpr std::string_view kMagic = "RNDL";
constexpr size_t kHeader = 4 + 4 + 4 + 8 + 32;

void PutInteger(std::string& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
}

uint64_t GetInteger(std::string_view in, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i)
    value |= uint64_t{static_cast<unsigned char>(in[i])} << (8 * i);
  return value;
}

}  // namespace

std::string Seal(Format format, uint32_t version, std::string_view payload) {
  std::string frame(kMagic);
  PutInteger(frame, static_cast<uint32_t>(format), 4);
  PutInteger(frame, version, 4);
  PutInteger(frame, payload.size(), 8);
  const Digest digest = Digest::Of(payload);
  frame.append(reinterpret_cast<const char*>(digest.bytes().data()), digest.bytes().size());
  frame += payload;
  return frame;
}

std::string_view Unseal(Format format, uint32_t version, std::string_view frame) {
  const auto refuse = [](const char* why) -> Error {
    return Error(Fault::kBug, "reading a private record").Because(why);
  };
  if (frame.size() < kHeader || !frame.starts_with(kMagic)) throw refuse("it has no valid header");
  if (GetInteger(frame.substr(4), 4) != static_cast<uint32_t>(format))
    throw refuse("it is of another kind");
  if (GetInteger(frame.substr(8), 4) != version) throw refuse("it is of another version");
  const std::string_view payload = frame.substr(kHeader);
  if (GetInteger(frame.substr(12), 8) != payload.size()) throw refuse("its length is wrong");
  const Digest digest = Digest::Of(payload);
  if (std::memcmp(frame.data() + 20, digest.bytes().data(), digest.bytes().size()) != 0) {
    throw refuse("its checksum is wrong");
  }
  return payload;
}

}  // namespace rundlet::base
