// One request of the fetcher, through its redirects and retries: what fetch_http.cc runs many of.
#pragma once

#include <cstdint>
#include <memory>

#include "rootfs/worker/http/fetch_http.h"

namespace rundlet::rootfs::worker {

class HttpTransfer {
 public:
  // Borrows the settings, and the request's target.
  HttpTransfer(const HttpSettings& settings, HttpRequest request);
  ~HttpTransfer();
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;

  void* easy() const;          // curl's handle, a CURL*
  int64_t not_before() const;  // of the monotonic clock

  // Makes the handle ready for the next attempt; false when the URL itself is refused (and the
  // target was told).
  bool Prepare();
  // Ends an attempt with a CURLcode. True: Prepare again (at not_before()).
  bool Done(int code);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace rundlet::rootfs::worker
