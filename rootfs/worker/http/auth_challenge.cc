#include "rootfs/worker/http/auth_challenge.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/text.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kChallengeLimit = 16;
constexpr size_t kParameters = 32;

bool IsTokenByte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// Reads a header's value from left to right.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : rest_(text) {}

  bool ended() const { return rest_.empty(); }

  void SkipSpace() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) Drop(1);
  }

  bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    Drop(1);
    return true;
  }

  std::string Token() {
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), IsTokenByte);
    std::string token = base::LowerCase({rest_.begin(), end});
    Drop(token.size());
    return token;
  }

  // A token or a quoted text.
  std::optional<std::string> Value() {
    std::string value;
    if (!Take('"')) {
      const auto end = std::find_if_not(rest_.begin(), rest_.end(), IsTokenByte);
      value.assign(rest_.begin(), end);
      Drop(value.size());
      return value;
    }
    while (!rest_.empty()) {
      char c = rest_.front();
      Drop(1);
      if (c == '"') return value;
      if (c == '\\') {
        if (rest_.empty()) break;
        c = rest_.front();
        Drop(1);
      }
      value += c;
    }
    return std::nullopt;
  }

  // Whether a name and "=" come next; then they are passed over.
  std::optional<std::string> ParameterName() {
    HeaderReader ahead = *this;
    std::string name = ahead.Token();
    ahead.SkipSpace();
    if (name.empty() || !ahead.Take('=')) return std::nullopt;
    ahead.SkipSpace();
    *this = ahead;
    return name;
  }

 private:
  void Drop(size_t count) { rest_.remove_prefix(count); }

  std::string_view rest_;
};

}  // namespace

std::vector<Challenge> ParseChallenges(std::string_view value) {
  std::vector<Challenge> challenges;
  HeaderReader reader(value);
  while (challenges.size() < kChallengeLimit) {
    reader.SkipSpace();
    while (reader.Take(',')) reader.SkipSpace();
    if (reader.ended()) break;
    Challenge challenge;
    challenge.scheme = reader.Token();
    if (challenge.scheme.empty()) break;
    reader.SkipSpace();
    while (const std::optional<std::string> name = reader.ParameterName()) {
      const std::optional<std::string> text = reader.Value();
      // A parameter that comes twice could be read in two ways.
      if (!text || challenge.parameters.size() == kParameters ||
          !challenge.parameters.emplace(*name, *text).second) {
        return challenges;
      }
      reader.SkipSpace();
      if (!reader.Take(',')) break;
      reader.SkipSpace();
    }
    challenges.push_back(std::move(challenge));
  }
  return challenges;
}

}  // namespace rundlet::rootfs::worker
