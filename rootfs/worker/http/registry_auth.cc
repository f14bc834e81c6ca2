#include "rootfs/worker/http/registry_auth.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json/fields.h"
#include "base/text.h"
#include "rootfs/worker/http/auth_challenge.h"
#include "rootfs/worker/http/fetch_url.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kAnswerLimit = size_t{1} << 20;
constexpr size_t kTokenLimit = size_t{64} << 10;
constexpr const char* kLoginHint =
    "log in with a tool that writes `~/.docker/config.json` or `auth.json` (docker, podman or "
    "skopeo login), and check the image's name";

base::Error RefuseLogin(std::string why) {
  return base::Error(base::Fault::kHost, "logging in to the registry").Because(std::move(why));
}

class TokenTarget : public HttpTarget {
 public:
  uint64_t ResumeFrom() override { return 0; }
  std::optional<std::string> Begin(const Start&) override {
    answer_.clear();
    return std::nullopt;
  }
  std::optional<std::string> Take(std::span<const std::byte> piece) override {
    if (piece.size() > kAnswerLimit - answer_.size())
      return "the token server's answer is too large";
    answer_.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    return std::nullopt;
  }
  std::optional<HttpFailure> Complete() override { return std::nullopt; }
  void Failed(const HttpFailure& failure) override { failure_ = failure; }

  const std::string& answer() const { return answer_; }
  const std::optional<HttpFailure>& failure() const { return failure_; }

 private:
  std::string answer_;
  std::optional<HttpFailure> failure_;
};

// It will stand in a header.
bool IsToken(const std::string& text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

void CheckRealm(const std::string& realm, RegistryTransport transport) {
  const UrlParts parts = PartsOf(realm);
  const bool fits = parts.scheme == "https" ||
                    (parts.scheme == "http" && transport == RegistryTransport::kPlainHttp);
  if (!fits || !parts.user.empty() || realm.find('#') != realm.npos) {
    throw RefuseLogin(fmt::format("it names `{}` as its token server, which is no https URL",
                                  base::Printable(realm.substr(0, 300))));
  }
}

std::string TokenFrom(const std::string& answer) {
  const base::DocumentOrigin origin{"reading the token server's answer", base::Fault::kHost};
  const nlohmann::json document = base::ParseJson(answer, origin);
  const base::Fields fields(document, origin);
  std::string token = fields.TextOrEmpty("token", kTokenLimit);
  if (token.empty()) token = fields.TextOrEmpty("access_token", kTokenLimit);
  if (!IsToken(token)) throw fields.Refuse("it holds no token");
  return token;
}

std::string FetchToken(const HttpSettings& settings, const Challenge& challenge,
                       const RegistryLogin& login, const std::string& scope,
                       RegistryTransport transport) {
  const auto parameter = [&](const char* name) {
    const auto found = challenge.parameters.find(name);
    return found == challenge.parameters.end() ? std::string() : found->second;
  };
  const std::string realm = parameter("realm");
  CheckRealm(realm, transport);
  const std::string wanted =
      fmt::format("service={}&scope={}", EncodeQuery(parameter("service")), EncodeQuery(scope));
  TokenTarget target;
  HttpRequest request;
  request.accept = "application/json";
  request.target = &target;
  request.url = realm;
  if (!login.identity_token.empty()) {
    request.form = fmt::format("grant_type=refresh_token&client_id=rundlet&{}&refresh_token={}",
                               wanted, EncodeQuery(login.identity_token));
  } else {
    request.url += (realm.find('?') == realm.npos ? "?" : "&") + wanted;
    request.user = login.user;
    request.password = login.password;
  }
  RunHttp(settings, {request});
  if (target.failure()) {
    base::Error error = RefuseLogin(
        fmt::format("asking its token server for a token: {}", target.failure()->cause));
    if (target.failure()->status == 401 || target.failure()->status == 403) {
      error.SetHint(kLoginHint);
    }
    throw error;
  }
  return TokenFrom(target.answer());
}

}  // namespace

Authorization Authorize(const HttpSettings& settings, const std::vector<std::string>& challenges,
                        const RegistryLogin& login, const std::string& scope,
                        RegistryTransport transport) {
  std::vector<Challenge> all;
  for (const std::string& header : challenges) {
    for (Challenge& challenge : ParseChallenges(header)) all.push_back(std::move(challenge));
  }
  const auto of_scheme = [&](const char* scheme) {
    return std::find_if(all.begin(), all.end(),
                        [&](const Challenge& one) { return one.scheme == scheme; });
  };
  if (const auto bearer = of_scheme("bearer"); bearer != all.end()) {
    return {"", "", FetchToken(settings, *bearer, login, scope, transport)};
  }
  if (of_scheme("basic") != all.end()) {
    if (!login.user.empty()) return {login.user, login.password, ""};
    throw RefuseLogin("it asks for a password, and there is none for it here").Hint(kLoginHint);
  }
  throw RefuseLogin("it asks for credentials in a way that is not supported");
}

}  // namespace rundlet::rootfs::worker
