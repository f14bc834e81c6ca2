// HTTP GETs for the fetcher, many at once: curl behind a small interface.
//
// Only http and https. Redirects are followed here, not by curl, so that each new host is checked:
// at most five, never from https to http, and a request's credentials go to the scheme, host and
// port of its own URL only (URLs with a user name in them are refused). Addresses are checked after
// resolution, at connect: loopback, private and link-local ones only for hosts the administrator
// configured. A download that broke is resumed only where the server says it is still the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace rundlet::rootfs::worker {

// Basic credentials for one scheme, host and port.
struct HttpLogin {
  std::string url;  // any there
  std::string user;
  std::string password;
};

// Headers of an answer that whoever passes it on passes on too, by their lower-case names.
using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpSettings {
  std::string ca_bundle;  // PEM text; empty: curl's own default
  std::string proxy;      // for both schemes; empty: none. Environment variables are ignored
  std::vector<std::string> no_proxy;       // hosts and domains reached without it, or "*"
  std::vector<std::string> private_hosts;  // may resolve to addresses of this host or its network
  std::vector<HttpLogin> logins;           // for requests that bring none of their own
  bool share_connections = false;          // one for all requests, where the server can
  int connections = 8;
  int retries = 3;           // one after another that bring nothing new
  int first_wait_ms = 500;   // doubled at each retry
  int timeout_seconds = 20;  // to connect; and below `slowest` for that long counts as a time-out
  int slowest = 1;           // bytes a second
  int total_seconds = 0;     // for one answer from first to last byte; 0: as long as it takes
};

// Why a GET did not succeed. `again` says that trying once more may help.
struct HttpFailure {
  std::string cause;
  bool again = false;
  bool host_fault = true;  // network or server; else the request itself is refused
  long status = 0;         // of the answer that ended it, when there was one
  std::vector<std::string> challenges = {};  // its WWW-Authenticate headers; of the first host only
  HttpHeaders headers = {};                  // those that are passed on
};

// What is told to whoever wants the bytes. A body may come in several answers (redirect bodies are
// not passed on).
class HttpTarget {
 public:
  virtual ~HttpTarget() = default;
  // Before each attempt: from which byte on to ask. 0 is the whole.
  virtual uint64_t ResumeFrom() = 0;
  // The final answer begins. Return a text to refuse it.
  struct Start {
    uint64_t offset = 0;  // of its first byte in the whole: 0 when the server ignored the wish
    uint64_t total = 0;   // length of the whole; 0: not told
    std::string url;      // where it comes from, after redirects
    std::string content_type;
    bool part = false;    // of what was asked for in part
    HttpHeaders headers;  // those that are passed on
  };
  virtual std::optional<std::string> Begin(const Start& start) = 0;
  virtual std::optional<std::string> Take(std::span<const std::byte> piece) = 0;
  // After the last byte; a failure returned here may ask to try again.
  virtual std::optional<HttpFailure> Complete() = 0;
  virtual void Failed(const HttpFailure& failure) = 0;  // final
};

enum class HttpMethod { kGet, kHead };
// Bytes of a file, the last one included.
struct HttpRange {
  uint64_t first = 0;
  uint64_t last = 0;
};

struct HttpRequest {
  std::string url;
  std::string accept = "*/*";
  HttpTarget* target = nullptr;  // borrowed
  // Basic credentials, or a token; for `url` itself, and not sent after a redirect elsewhere.
  std::string user = {};
  std::string password = {};
  std::string token = {};
  std::string form = {};  // not empty: POSTed, as a form, and to no other host
  HttpMethod method = HttpMethod::kGet;
  std::optional<HttpRange> range = {};  // its target resumes nothing
  // The tag of what is there already: 304 is a failure then.
  std::string unless = {};
  // Text: may come compressed.
  bool text = false;
};

// Runs all to their end.
void RunHttp(const HttpSettings& settings, const std::vector<HttpRequest>& requests);

// As RunHttp, for requests that come one after the other, over the same connections.
class HttpClient {
 public:
  explicit HttpClient(const HttpSettings& settings);  // borrowed
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // From any thread. The target is told from the thread that serves.
  void Add(HttpRequest request);
  // Until all that was added is done.
  void Run();
  // Never returns: what is added later is served too.
  [[noreturn]] void Serve();

 private:
  class Queue;
  std::unique_ptr<Queue> queue_;
};

}  // namespace rundlet::rootfs::worker
