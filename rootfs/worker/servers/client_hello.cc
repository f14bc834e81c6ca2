#include "rootfs/worker/servers/client_hello.h"

#include <optional>
#include <vector>

namespace rundlet::rootfs::worker {
namespace {

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHello = 1;
constexpr size_t kRecordHeader = 5;
constexpr size_t kMaxRecord = 1 << 14;
constexpr size_t kMessageHeader = 4;
constexpr size_t kRandom = 32;
constexpr size_t kServerName = 0;
constexpr size_t kEncryptedClientHello = 0xfe0d;
constexpr uint8_t kHostName = 0;

// Reads from the front; once something is missing, everything is.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  bool empty() const { return bytes_.empty(); }

  size_t Number(size_t width) {
    size_t value = 0;
    for (const uint8_t byte : Take(width)) value = value << 8 | byte;
    return value;
  }
  // What follows its length of `width` bytes.
  std::span<const uint8_t> Vector(size_t width) { return Take(Number(width)); }

  std::span<const uint8_t> Take(size_t count) {
    if (!ok_ || count > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    const auto front = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return front;
  }

 private:
  std::span<const uint8_t> bytes_;
  bool ok_ = true;
};

// The body of a message that is split over records. Nothing: it is not one; `partial`: not yet.
std::optional<std::vector<uint8_t>> MessageOf(std::span<const uint8_t> bytes, bool& partial) {
  std::vector<uint8_t> message;
  while (true) {
    if (!message.empty() && message.front() != kClientHello) return std::nullopt;
    if (message.size() >= kMessageHeader) {
      const size_t length = size_t{message[1]} << 16 | size_t{message[2]} << 8 | message[3];
      if (length > kMaxClientHello) return std::nullopt;
      if (message.size() >= kMessageHeader + length) {
        message.resize(kMessageHeader + length);
        message.erase(message.begin(), message.begin() + kMessageHeader);
        return message;
      }
    }
    if (!bytes.empty() && bytes[0] != kHandshakeRecord) return std::nullopt;
    if (bytes.size() < kRecordHeader) break;
    const size_t length = size_t{bytes[3]} << 8 | bytes[4];
    if (bytes[1] != 3 || length == 0 || length > kMaxRecord) return std::nullopt;
    if (bytes.size() < kRecordHeader + length) break;
    const auto fragment = bytes.subspan(kRecordHeader, length);
    message.insert(message.end(), fragment.begin(), fragment.end());
    bytes = bytes.subspan(kRecordHeader + length);
  }
  partial = true;
  return std::nullopt;
}

// The only entry of the list; empty when there are others, or none.
std::string NameIn(std::span<const uint8_t> extension) {
  Reader reader(extension);
  Reader list(reader.Vector(2));
  if (!reader.ok() || !reader.empty() || list.Number(1) != kHostName) return {};
  const auto name = list.Vector(2);
  return list.ok() && list.empty() ? std::string(name.begin(), name.end()) : std::string();
}

}  // namespace

ClientHello ReadClientHello(std::span<const uint8_t> bytes) {
  bool partial = false;
  const auto message = MessageOf(bytes, partial);
  if (partial && bytes.size() < kMaxClientHello) return {};
  const ClientHello invalid = {ClientHello::State::kInvalid, {}};
  if (!message.has_value()) return invalid;
  Reader reader(*message);
  reader.Number(2);  // version
  reader.Take(kRandom);
  reader.Vector(1);  // session
  reader.Vector(2);  // cipher suites
  reader.Vector(1);  // compression methods
  Reader extensions(reader.Vector(2));
  if (!reader.ok() || !reader.empty()) return invalid;
  std::optional<std::string> host;
  while (!extensions.empty()) {
    const size_t type = extensions.Number(2);
    const auto content = extensions.Vector(2);
    if (!extensions.ok() || type == kEncryptedClientHello) return invalid;
    if (type != kServerName) continue;
    if (host.has_value()) return invalid;
    host = NameIn(content);
  }
  if (!host.has_value() || host->empty()) return invalid;
  return {ClientHello::State::kNamed, *std::move(host)};
}

}  // namespace rundlet::rootfs::worker
