#include "rootfs/worker/http/http_transfer.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/process.h"
#include "base/text.h"
#include "base/walls.h"
#include "rootfs/worker/http/fetch_address.h"
#include "rootfs/worker/http/fetch_url.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr int kRedirectLimit = 5;
constexpr uint64_t kProgress = uint64_t{1} << 20;      // bytes that make an attempt worth another
constexpr uint64_t kDiscardLimit = uint64_t{1} << 20;  // of an answer that is no success
constexpr int64_t kLongestWait = 30;                   // seconds a server may ask us to wait
constexpr size_t kChallenges = 8;
constexpr size_t kHeaderLimit = 8192;  // of a value that is kept

// What says how long an answer is good for, and that parts of a file can be had.
constexpr std::array<std::string_view, 6> kPassedOn = {"etag", "last-modified", "cache-control",
                                                       "age",  "date",          "accept-ranges"};

struct EasyCloser {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct ListCloser {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

std::optional<uint64_t> Number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What one answer's headers said.
struct Answer {
  std::string location;
  std::string content_type;
  std::string etag;
  std::vector<std::string> challenges;
  HttpHeaders headers;
  std::optional<int64_t> retry_after;   // seconds
  std::optional<uint64_t> range_start;  // of Content-Range
  std::optional<uint64_t> range_total;
  std::optional<uint64_t> length;
  uint64_t discarded = 0;
  bool begun = false;
};

// "bytes 100-199/200"
void ParseContentRange(std::string_view value, Answer& answer) {
  if (!value.starts_with("bytes ")) return;
  value.remove_prefix(6);
  const size_t dash = value.find('-');
  const size_t slash = value.find('/');
  if (dash == value.npos || slash == value.npos || dash > slash) return;
  answer.range_start = Number(value.substr(0, dash));
  answer.range_total = Number(value.substr(slash + 1));
}

// Seconds, or a date.
std::optional<int64_t> ParseRetryAfter(const std::string& value) {
  if (const std::optional<uint64_t> seconds = Number(value)) {
    return static_cast<int64_t>(std::min(*seconds, uint64_t{INT32_MAX}));
  }
  const time_t date = curl_getdate(value.c_str(), nullptr);
  if (date < 0) return std::nullopt;
  return std::max<int64_t>(0, date - time(nullptr));
}

}  // namespace

class HttpTransfer::State {
 public:
  State(const HttpSettings& settings, HttpRequest request)
      : settings_(settings),
        request_(std::move(request)),
        url_(request_.url),
        easy_(curl_easy_init()) {
    if (easy_ == nullptr) {
      throw base::Error(base::Fault::kHost, "starting a download").Because("out of memory");
    }
  }

  CURL* easy() const { return easy_.get(); }
  int64_t not_before() const { return not_before_; }

  // Makes the handle ready for the next attempt; false when the URL itself is refused (and the
  // target was told).
  bool Prepare() {
    answer_ = {};
    refusal_.reset();
    changed_ = false;
    offset_ = from_start_ ? 0 : request_.target->ResumeFrom();
    const UrlParts parts = PartsOf(url_);
    host_ = parts.host;
    if (host_.empty() || (parts.scheme != "https" && parts.scheme != "http")) {
      return Refused("it is not an http or https URL");
    }
    if (!parts.user.empty()) return Refused("the URL carries credentials");
    SetOptions();
    return true;
  }

  // Ends an attempt. True: Prepare again (at not_before()).
  bool Done(CURLcode code) {
    long status = 0;
    curl_easy_getinfo(easy(), CURLINFO_RESPONSE_CODE, &status);
    if (refusal_.has_value()) return Fail({*refusal_, false, refusal_is_host_});
    if (status >= 300 && status < 400 && !answer_.location.empty()) return Redirect();
    if (status == 416 && offset_ != 0 && !request_.range.has_value()) {
      from_start_ = true;
      return Retry({"the server cannot resume the download", true});
    }
    if (changed_) {
      from_start_ = true;
      return Retry({fmt::format("`{}` serves something else than before", host_), true});
    }
    if (status != 0 && (status < 200 || status >= 300)) return FailStatus(status);
    if (code != CURLE_OK) return Retry({CurlCause(code), IsTransient(code)});
    if (!answer_.begun) Take({});
    if (refusal_.has_value()) return Fail({*refusal_, false, refusal_is_host_});
    if (const std::optional<HttpFailure> failure = request_.target->Complete())
      return Retry(*failure);
    return false;
  }

 private:
  template <typename Value>
  void Set(CURLoption option, Value value) {
    if (curl_easy_setopt(easy(), option, value) != CURLE_OK) {
      throw base::Error(base::Fault::kBug, "setting up a download")
          .Because(fmt::format("curl refuses option {}", static_cast<int>(option)));
    }
  }

  void SetOptions() {
    curl_easy_reset(easy());
    Set(CURLOPT_URL, url_.c_str());
    Set(CURLOPT_PROTOCOLS_STR, "http,https");
    Set(CURLOPT_FOLLOWLOCATION, 0L);
    headers_.reset(curl_slist_append(nullptr, ("Accept: " + request_.accept).c_str()));
    if (offset_ != 0 && !etag_.empty()) {
      headers_.reset(curl_slist_append(headers_.release(), ("If-Range: " + etag_).c_str()));
    }
    if (!request_.unless.empty()) {
      headers_.reset(
          curl_slist_append(headers_.release(), ("If-None-Match: " + request_.unless).c_str()));
    }
    Set(CURLOPT_HTTPHEADER, headers_.get());
    SetCredentials();
    if (!request_.form.empty()) Set(CURLOPT_POSTFIELDS, request_.form.c_str());
    Set(CURLOPT_USERAGENT, "rundlet/" RUNDLET_VERSION);
    Set(CURLOPT_NOSIGNAL, 1L);
    Set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(settings_.timeout_seconds));
    Set(CURLOPT_TIMEOUT, static_cast<long>(settings_.total_seconds));
    Set(CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(settings_.slowest));
    Set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(settings_.timeout_seconds));
    // Decided here alone, since the check of addresses depends on it. An empty proxy keeps curl
    // from looking into the environment.
    Set(CURLOPT_PROXY, UsesProxy() ? settings_.proxy.c_str() : "");
    Set(CURLOPT_NOPROXY, "");
    if (!settings_.ca_bundle.empty()) {
      curl_blob blob{const_cast<char*>(settings_.ca_bundle.data()), settings_.ca_bundle.size(),
                     CURL_BLOB_NOCOPY};
      Set(CURLOPT_CAINFO_BLOB, &blob);
    }
    // Not CURLOPT_RESUME_FROM: with that, curl fails when a server sends the whole instead.
    if (offset_ != 0) Set(CURLOPT_RANGE, fmt::format("{}-", offset_).c_str());
    if (request_.range.has_value()) {
      offset_ = request_.range->first;
      Set(CURLOPT_RANGE, fmt::format("{}-{}", offset_, request_.range->last).c_str());
    }
    if (request_.method == HttpMethod::kHead) Set(CURLOPT_NOBODY, 1L);
    if (request_.text) Set(CURLOPT_ACCEPT_ENCODING, "gzip");
    // Without TLS it is known too late that a server takes one request at a time: each would wait
    // for the one before.
    if (settings_.share_connections && url_.starts_with("https:")) Set(CURLOPT_PIPEWAIT, 1L);
    Set(CURLOPT_HEADERFUNCTION, &State::OnHeader);
    Set(CURLOPT_HEADERDATA, static_cast<void*>(this));
    Set(CURLOPT_WRITEFUNCTION, &State::OnBody);
    Set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    Set(CURLOPT_OPENSOCKETFUNCTION, &State::OnSocket);
    Set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
    Set(CURLOPT_BUFFERSIZE, 256L * 1024);
  }

  void SetCredentials() {
    if (!IsSameOrigin(url_, request_.url) && base::Holds(base::Wall::kTokenOrigin)) return;
    if (!request_.user.empty()) {
      Set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
      Set(CURLOPT_USERNAME, request_.user.c_str());
      Set(CURLOPT_PASSWORD, request_.password.c_str());
    } else if (!request_.token.empty()) {
      Set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BEARER));
      Set(CURLOPT_XOAUTH2_BEARER, request_.token.c_str());
    } else if (const HttpLogin* login = FindLogin()) {
      Set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
      Set(CURLOPT_USERNAME, login->user.c_str());
      Set(CURLOPT_PASSWORD, login->password.c_str());
    }
  }

  const HttpLogin* FindLogin() const {
    for (const HttpLogin& login : settings_.logins) {
      if (IsSameOrigin(login.url, url_) || !base::Holds(base::Wall::kLoginOrigin)) return &login;
    }
    return nullptr;
  }

  bool Refused(std::string cause) { return Fail({std::move(cause), false, false}); }

  bool Fail(const HttpFailure& failure) {
    request_.target->Failed(failure);
    return false;
  }

  bool Retry(const HttpFailure& failure) {
    if (!failure.again) return Fail(failure);
    // A large file over a poor line: what counts are attempts that bring nothing.
    if (const uint64_t have = request_.target->ResumeFrom(); have >= furthest_ + kProgress) {
      furthest_ = have;
      attempt_ = 0;
    }
    if (attempt_ == settings_.retries) {
      return Fail({fmt::format("{} (tried {} times)", failure.cause, attempt_ + 1), false,
                   failure.host_fault});
    }
    const int64_t asked = answer_.retry_after.value_or(0);
    if (asked > kLongestWait) {
      return Fail({fmt::format("{}, and asks to come back in {} s", failure.cause, asked), false,
                   failure.host_fault});
    }
    const int64_t wait = std::max(int64_t{settings_.first_wait_ms} << attempt_, asked * 1000);
    ++attempt_;
    not_before_ = base::MonotonicNanoseconds() + wait * 1'000'000;
    redirects_ = 0;
    url_ = request_.url;
    return true;
  }

  bool Redirect() {
    const std::string next = ResolveUrl(url_, answer_.location);
    if (next.empty()) return Fail({"the server redirects to something that is no URL"});
    if (++redirects_ > kRedirectLimit)
      return Fail({fmt::format("more than {} redirects", kRedirectLimit)});
    if (url_.starts_with("https:") && !next.starts_with("https:") &&
        base::Holds(base::Wall::kStaysHttps)) {
      return Fail({fmt::format("the server redirects from https to `{}`",
                               base::Printable(PartsOf(next).host))});
    }
    if (!request_.form.empty() && !IsSameOrigin(next, request_.url)) {
      return Fail({fmt::format("`{}` redirects credentials to `{}`", host_,
                               base::Printable(PartsOf(next).host))});
    }
    url_ = next;
    return true;
  }

  bool FailStatus(long status) {
    const bool again = status == 408 || status == 429 || status >= 500;
    const char* words = status == 404 || status == 410   ? " (not there)"
                        : status == 401 || status == 407 ? " (it asks for credentials)"
                        : status == 403                  ? " (forbidden)"
                        : status == 429                  ? " (too many requests)"
                                                         : "";
    // What another host asks for after a redirect is none of what the first one may be given.
    const bool own = IsSameOrigin(url_, request_.url);
    return Retry({fmt::format("`{}` answers {}{}", host_, status, words), again, true, status,
                  own ? answer_.challenges : std::vector<std::string>(), answer_.headers});
  }

  std::string CurlCause(CURLcode code) const {
    const std::string text = curl_easy_strerror(code);
    // "SSL" stays what it is.
    const bool word = text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])) != 0;
    return fmt::format("`{}`: {}", host_,
                       word ? base::LowerCase(text.substr(0, 1)) + text.substr(1) : text);
  }

  static bool IsTransient(CURLcode code) {
    return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
           code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT ||
           code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
           code == CURLE_PARTIAL_FILE || code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM ||
           code == CURLE_SSL_CONNECT_ERROR;
  }

  bool Take(std::span<const std::byte> piece) {
    if (!answer_.begun) {
      answer_.begun = true;
      long status = 0;
      curl_easy_getinfo(easy(), CURLINFO_RESPONSE_CODE, &status);
      const bool part = status == 206;
      if (part && answer_.range_start != offset_)
        return RefuseHere("the server sends another range than asked for");
      if (part && !etag_.empty() && answer_.etag != etag_) {
        changed_ = true;
        return false;
      }
      // A weak tag says nothing about bytes.
      etag_ = answer_.etag.starts_with('"') ? answer_.etag : "";
      const std::optional<uint64_t> total = part ? answer_.range_total : answer_.length;
      refusal_ = request_.target->Begin({part ? offset_ : 0, total.value_or(0), url_,
                                         answer_.content_type, part, answer_.headers});
    }
    if (!refusal_.has_value() && !piece.empty()) refusal_ = request_.target->Take(piece);
    if (refusal_.has_value()) refusal_is_host_ = false;  // nor the network: it is about what came
    return !refusal_.has_value();
  }

  bool RefuseHere(std::string cause) {
    refusal_ = std::move(cause);
    return false;
  }

  static size_t OnHeader(char* data, size_t, size_t size, void* self) {
    static_cast<State*>(self)->Header(std::string_view(data, size));
    return size;
  }

  void Header(std::string_view line) {
    if (line.starts_with("HTTP/")) {  // the status line of an answer, also of an informational one
      answer_ = {};
      return;
    }
    const size_t colon = line.find(':');
    if (colon == line.npos) return;
    const std::string name = base::LowerCase(line.substr(0, colon));
    const std::string_view value = base::Trim(line.substr(colon + 1));
    if (value.size() > kHeaderLimit) return;
    if (name == "location") answer_.location = value;
    if (name == "content-type") answer_.content_type = value;
    if (name == "etag") answer_.etag = value;
    if (name == "retry-after") answer_.retry_after = ParseRetryAfter(std::string(value));
    if (name == "www-authenticate" && answer_.challenges.size() < kChallenges) {
      answer_.challenges.emplace_back(value);
    }
    if (std::find(kPassedOn.begin(), kPassedOn.end(), name) != kPassedOn.end())
      answer_.headers.emplace_back(name, value);
    if (name == "content-length") answer_.length = Number(value);
    if (name == "content-range") ParseContentRange(value, answer_);
  }

  static size_t OnBody(char* data, size_t, size_t size, void* self) {
    return static_cast<State*>(self)->Body(std::as_bytes(std::span(data, size))) ? size : 0;
  }

  bool Body(std::span<const std::byte> piece) {
    long status = 0;
    curl_easy_getinfo(easy(), CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status < 300) return Take(piece);
    answer_.discarded += piece.size();
    return answer_.discarded <= kDiscardLimit;
  }

  static curl_socket_t OnSocket(void* self, curlsocktype, curl_sockaddr* address) {
    return static_cast<State*>(self)->Socket(*address);
  }

  curl_socket_t Socket(const curl_sockaddr& address) {
    // Through a proxy the proxy resolves and connects; its own address is the administrator's
    // choice.
    const auto& hosts = settings_.private_hosts;
    const bool configured = std::any_of(
        hosts.begin(), hosts.end(), [&](const std::string& one) { return IsSameHost(one, host_); });
    const bool vouched = configured || UsesProxy();
    if (!vouched && !IsPublicAddress(address.addr)) {
      refusal_is_host_ = false;
      refusal_ =
          fmt::format("`{}` leads to an inner address, which only a configured host may", host_);
      return CURL_SOCKET_BAD;
    }
    return socket(address.family, address.socktype | SOCK_CLOEXEC, address.protocol);
  }

  bool UsesProxy() const {
    return !settings_.proxy.empty() && !IsInDomains(host_, settings_.no_proxy);
  }

  const HttpSettings& settings_;
  const HttpRequest request_;
  std::string url_;
  std::string host_;
  std::unique_ptr<CURL, EasyCloser> easy_;
  std::unique_ptr<curl_slist, ListCloser> headers_;
  Answer answer_;
  std::string etag_;  // of the bytes that came so far, when it is a strong one
  bool changed_ = false;
  std::optional<std::string> refusal_;
  bool refusal_is_host_ = true;
  uint64_t offset_ = 0;      // asked for
  bool from_start_ = false;  // the server does not resume
  int redirects_ = 0;
  int attempt_ = 0;        // since there was progress
  uint64_t furthest_ = 0;  // byte
  int64_t not_before_ = 0;
};

HttpTransfer::HttpTransfer(const HttpSettings& settings, HttpRequest request)
    : state_(std::make_unique<State>(settings, std::move(request))) {}
HttpTransfer::~HttpTransfer() = default;
void* HttpTransfer::easy() const { return state_->easy(); }
int64_t HttpTransfer::not_before() const { return state_->not_before(); }
bool HttpTransfer::Prepare() { return state_->Prepare(); }
bool HttpTransfer::Done(int code) { return state_->Done(static_cast<CURLcode>(code)); }

}  // namespace rundlet::rootfs::worker
