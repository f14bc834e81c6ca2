#include "rootfs/formats/wheel_record.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kRowLimit = 500'000;
constexpr size_t kPathLimit = 4096;
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

class RecordReader {
 public:
  explicit RecordReader(std::string_view text) : rest_(text) {}

  std::vector<RecordRow> Read() {
    std::vector<RecordRow> rows;
    while (!rest_.empty()) {
      ++line_;
      // Some build tools leave empty lines at the end.
      if (SkipLineEnd()) continue;
      if (rows.size() == kRowLimit) Refuse(fmt::format("it has more than {} rows", kRowLimit));
      rows.push_back(Row());
    }
    return rows;
  }

 private:
  [[noreturn]] void Refuse(std::string cause) const {
    throw base::Error(base::Fault::kInvalid, fmt::format("reading line {} of RECORD", line_))
        .Because(std::move(cause));
  }

  bool SkipLineEnd() {
    if (rest_.starts_with("\r\n")) {
      rest_.remove_prefix(2);
      return true;
    }
    if (rest_.starts_with('\n')) {
      rest_.remove_prefix(1);
      return true;
    }
    return false;
  }

  RecordRow Row() {
    RecordRow row;
    row.path = Field();
    if (row.path.empty() || row.path.size() > kPathLimit) Refuse("the path is empty or too long");
    Comma();
    const std::string hash = Field();
    Comma();
    const std::string size = Field();
    if (!rest_.empty() && !SkipLineEnd()) Refuse("there are more than three fields");
    if (!hash.empty()) row.sha256 = Hash(hash);
    if (!size.empty()) row.size = Size(size);
    return row;
  }

  void Comma() {
    if (!rest_.starts_with(',')) Refuse("there are fewer than three fields");
    rest_.remove_prefix(1);
  }

  std::string Field() { return rest_.starts_with('"') ? Quoted() : Bare(); }

  std::string Bare() {
    const size_t end = std::min(rest_.find_first_of(",\n\""), rest_.size());
    std::string_view field = rest_.substr(0, end);
    if (end < rest_.size() && rest_[end] == '\n' && field.ends_with('\r')) field.remove_suffix(1);
    if (end < rest_.size() && rest_[end] == '"') Refuse("there is a stray quote");
    rest_.remove_prefix(field.size());
    return Clean(std::string(field));
  }

  std::string Quoted() {
    rest_.remove_prefix(1);
    std::string field;
    while (true) {
      const size_t quote = rest_.find('"');
      if (quote == rest_.npos) Refuse("a quote is not closed");
      field += rest_.substr(0, quote);
      rest_.remove_prefix(quote + 1);
      if (!rest_.starts_with('"')) return Clean(std::move(field));
      field += '"';
      rest_.remove_prefix(1);
    }
  }

  std::string Clean(std::string field) const {
    if (std::any_of(field.begin(), field.end(),
                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
      Refuse("there is a control character");
    }
    return field;
  }

  base::Digest Hash(std::string_view text) const {
    constexpr std::string_view kPrefix = "sha256=";
    if (!text.starts_with(kPrefix)) {
      Refuse(fmt::format("the hash `{}` is not a sha256", base::Printable(text.substr(0, 100))));
    }
    text.remove_prefix(kPrefix.size());
    // The specification says "no padding"; some build tools pad all the same.
    if (text.size() == 44 && text.ends_with('=')) text.remove_suffix(1);
    const std::optional<base::Digest> digest = DigestOfBase64(text);
    if (!digest.has_value()) Refuse("the hash is malformed");
    return *digest;
  }

  uint64_t Size(std::string_view text) const {
    uint64_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || end != text.data() + text.size()) Refuse("the size is malformed");
    return size;
  }

  std::string_view rest_;
  size_t line_ = 0;
};

std::string QuotedIfNeeded(const std::string& field) {
  if (field.find_first_of(",\"") == field.npos) return field;
  std::string quoted = "\"";
  for (const char c : field) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace

std::vector<RecordRow> ParseRecord(std::string_view text) { return RecordReader(text).Read(); }

std::string FormatRecord(std::vector<RecordRow> rows) {
  std::sort(rows.begin(), rows.end(),
            [](const RecordRow& a, const RecordRow& b) { return a.path < b.path; });
  std::string text;
  for (const RecordRow& row : rows) {
    text += QuotedIfNeeded(row.path) + ',';
    if (row.sha256.has_value()) text += "sha256=" + Base64Of(*row.sha256);
    text += ',';
    if (row.size.has_value()) text += fmt::format("{}", *row.size);
    text += '\n';
  }
  return text;
}

std::string Base64Of(const base::Digest& digest) {
  std::string text;
  uint32_t bits = 0;
  int count = 0;
  for (const uint8_t byte : digest.bytes()) {
    bits = (bits << 8) | byte;
    for (count += 8; count >= 6; count -= 6) text += kAlphabet[(bits >> (count - 6)) & 63];
  }
  text += kAlphabet[(bits << (6 - count)) & 63];
  return text;
}

std::optional<base::Digest> DigestOfBase64(std::string_view text) {
  if (text.size() != 43) return std::nullopt;
  std::array<uint8_t, 32> bytes{};
  uint32_t bits = 0;
  int count = 0;
  size_t next = 0;
  for (const char c : text) {
    const size_t value = kAlphabet.find(c);
    if (value == kAlphabet.npos) return std::nullopt;
    bits = (bits << 6) | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes[next++] = static_cast<uint8_t>(bits >> count);
    }
  }
  // 43 characters hold 258 bits: the last two must be zero, so that a digest has one spelling only.
  if ((bits & 3) != 0) return std::nullopt;
  return base::Digest(bytes);
}

}  // namespace rundlet::rootfs
