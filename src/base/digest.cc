#include "base/digest.h"

#include <nettle/sha2.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/error.h"

namespace rundlet::base {

struct Sha256::State {
  sha256_ctx context;
};

std::optional<Digest> Digest::Parse(std::string_view text) {
  if (text.starts_with("sha256:")) text.remove_prefix(7);
  if (text.size() != 64) return std::nullopt;
  const auto nibble = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  std::array<uint8_t, 32> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const int high = nibble(text[2 * i]);
    const int low = nibble(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return Digest(bytes);
}

Digest Digest::Of(std::string_view bytes) {
  Sha256 hash;
  hash.Add(bytes);
  return hash.Finish();
}

std::string Digest::hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(64);
  for (const uint8_t byte : bytes_) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Sha256::Sha256() : state_(std::make_unique<State>()) { sha256_init(&state_->context); }
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Add(std::span<const std::byte> bytes) {
  sha256_update(&state_->context, bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
}

void Sha256::AddField(std::string_view bytes) {
  std::array<std::byte, 8> length;
  uint64_t value = bytes.size();
  for (std::byte& byte : length) {
    byte = static_cast<std::byte>(value & 0xff);
    value >>= 8;
  }
  Add(length);
  Add(bytes);
}

Digest Sha256::Finish() {
  std::array<uint8_t, 32> bytes;
  sha256_digest(&state_->context, bytes.size(), bytes.data());
  return Digest(bytes);
}

Digest DigestOfFile(int fd) {
  Sha256 hash;
  std::vector<std::byte> buffer(1 << 18);
  while (true) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) ThrowErrno("reading a file to hash it");
    if (count == 0) return hash.Finish();
    hash.Add(std::span(buffer.data(), static_cast<size_t>(count)));
  }
}

}  // namespace rundlet::base
