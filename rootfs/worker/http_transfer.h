// One request of the fetcher, through its redirects and retries: what fetch_http.cc runs many of.
#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rootfs/worker/fetch_http.h"

namespace rundlet::rootfs::worker {

// What one answer's headers said.
struct HttpAnswer {
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

// Borrows the settings, and the request's target.
class HttpTransfer {
 public:
  HttpTransfer(const HttpSettings& settings, HttpRequest request);

  CURL* easy() const { return easy_.get(); }
  int64_t not_before() const { return not_before_; }

  // Makes the handle ready for the next attempt; false when the URL itself is refused (and the
  // target was told).
  bool Prepare();

  // Ends an attempt. True: Prepare again (at not_before()).
  bool Done(CURLcode code);

 private:
  struct EasyCloser {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  };
  struct ListCloser {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };

  template <typename Value>
  void Set(CURLoption option, Value value);
  void SetOptions();
  void SetCredentials();
  const HttpLogin* FindLogin() const;
  bool Refused(std::string cause) { return Fail({std::move(cause), false, false}); }
  bool Fail(const HttpFailure& failure);
  bool Retry(const HttpFailure& failure);
  bool Redirect();
  bool FailStatus(long status);
  std::string CurlCause(CURLcode code) const;
  static bool IsTransient(CURLcode code);
  bool Take(std::span<const std::byte> piece);
  bool RefuseHere(std::string cause);
  static size_t OnHeader(char* data, size_t, size_t size, void* self);
  void Header(std::string_view line);
  static size_t OnBody(char* data, size_t, size_t size, void* self);
  bool Body(std::span<const std::byte> piece);
  static curl_socket_t OnSocket(void* self, curlsocktype, curl_sockaddr* address);
  curl_socket_t Socket(const curl_sockaddr& address);
  bool UsesProxy() const;

  const HttpSettings& settings_;
  const HttpRequest request_;
  std::string url_;
  std::string host_;
  std::unique_ptr<CURL, EasyCloser> easy_;
  std::unique_ptr<curl_slist, ListCloser> headers_;
  HttpAnswer answer_;
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

}  // namespace rundlet::rootfs::worker
