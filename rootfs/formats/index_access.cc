#include "rootfs/formats/index_access.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

bool IsSpace(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

[[noreturn]] void RefuseNetrc(std::string cause) {
  throw base::Error(base::Fault::kInvalid, "reading the netrc file").Because(std::move(cause));
}

// The words of a netrc file: between white space, or in quotes with backslashes; "#" at the
// beginning of one makes the rest of its line a comment.
class NetrcWords {
 public:
  explicit NetrcWords(std::string_view text) : rest_(text) {}

  // A password may begin with "#", so only keywords have comments before them.
  std::optional<std::string> NextKeyword() {
    while (true) {
      SkipSpace();
      if (!rest_.starts_with('#')) return Next();
      rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
    }
  }

  std::string Value() {
    std::optional<std::string> word = Next();
    if (!word.has_value()) RefuseNetrc("it ends in the middle of an entry");
    return *std::move(word);
  }

  // A macro goes on to the next empty line.
  void SkipMacro() {
    const size_t end = rest_.find("\n\n");
    rest_.remove_prefix(std::min(end, rest_.size()));
  }

 private:
  void SkipSpace() {
    while (!rest_.empty() && IsSpace(rest_.front())) rest_.remove_prefix(1);
  }

  std::optional<std::string> Next() {
    SkipSpace();
    if (rest_.empty()) return std::nullopt;
    if (rest_.front() == '"') return Quoted();
    size_t end = 0;
    while (end < rest_.size() && !IsSpace(rest_[end])) ++end;
    std::string word(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return word;
  }

  std::string Quoted() {
    std::string word;
    for (size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        return word;
      }
      if (rest_[i] == '\\' && i + 1 < rest_.size()) ++i;
      word += rest_[i];
    }
    RefuseNetrc("a quotation mark is not closed");
  }

  std::string_view rest_;
};

}  // namespace

std::optional<NetrcLogin> LoginIn(std::string_view netrc, std::string_view host) {
  const std::string wanted = base::LowerCase(host);
  NetrcWords words(netrc);
  std::optional<NetrcLogin> found;
  bool is_hosts = false;  // the entry that is being read
  while (const auto word = words.NextKeyword()) {
    if (*word == "machine") {
      if (found.has_value()) break;
      is_hosts = base::LowerCase(words.Value()) == wanted;
      if (is_hosts) found.emplace();
    } else if (*word == "default") {
      break;  // the last entry, by the format
    } else if (*word == "login" || *word == "account" || *word == "password") {
      const std::string value = words.Value();
      if (is_hosts && *word == "login") found->user = value;
      if (is_hosts && *word == "password") found->password = value;
    } else if (*word == "macdef") {
      words.SkipMacro();
    } else {
      RefuseNetrc("something stands where `machine`, `login` or `password` should");
    }
  }
  if (found.has_value() && found->user.empty())
    RefuseNetrc(fmt::format("it has no login for `{}`", base::Printable(host)));
  return found;
}

std::string CredentialsHint(const std::string& host) {
  return fmt::format(
      "the netrc file (NETRC, or ~/.netrc) says with which user and password `{}` is asked",
      base::Printable(host));
}

base::Digest KeyedDigest(const base::Digest& key, std::string_view what, std::string_view text) {
  // Each field's length comes before it, so that nothing can be added to the last one.
  const std::string secret = key.hex();
  base::Sha256 hash;
  for (const std::string_view field : {std::string_view(secret), what, text}) hash.AddField(field);
  return hash.Finish();
}

base::Digest IndexId(const base::Digest& key, const IndexLogin& login) {
  base::Sha256 hash;
  for (const std::string& field : {login.url, login.user, login.password}) hash.AddField(field);
  return KeyedDigest(key, "index", hash.Finish().hex());
}

}  // namespace rundlet::rootfs
