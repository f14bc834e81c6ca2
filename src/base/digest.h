// SHA-256, the only digest this program uses.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rundlet::base {

// A SHA-256 value. Its text form is 64 lower-case hex digits.
class Digest {
 public:
  Digest() = default;
  explicit Digest(const std::array<uint8_t, 32>& bytes) : bytes_(bytes) {}
  // Accepts exactly 64 lower-case hex digits, with or without a leading "sha256:".
  static std::optional<Digest> Parse(std::string_view text);
  static Digest Of(std::string_view bytes);

  std::string hex() const;
  const std::array<uint8_t, 32>& bytes() const { return bytes_; }
  auto operator<=>(const Digest&) const = default;

 private:
  std::array<uint8_t, 32> bytes_{};
};

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Add(std::span<const std::byte> bytes);
  void Add(std::string_view bytes) { Add(std::as_bytes(std::span(bytes.data(), bytes.size()))); }
  // Adds a length-prefixed field, so that ("ab","c") and ("a","bc") differ. For digests over
  // several values.
  void AddField(std::string_view bytes);
  // Ends the computation; the object may then be used for a new one.
  Digest Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Reads from the descriptor's current position to its end. Throws Error when reading fails.
Digest DigestOfFile(int fd);

}  // namespace rundlet::base
