#include "rootfs/worker/http/fetch_http.h"

#include <curl/curl.h>

#include <algorithm>
#include <deque>
#include <list>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/process.h"
#include "rootfs/worker/http/http_transfer.h"

namespace rundlet::rootfs::worker {
namespace {

void StartCurl() {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK)
    throw base::Error(base::Fault::kHost, "starting curl").Because(curl_easy_strerror(ready));
}

}  // namespace

// Runs transfers, a few at a time.
class HttpClient::Queue {
 public:
  explicit Queue(const HttpSettings& settings) : settings_(settings), multi_(curl_multi_init()) {}
  ~Queue() {
    for (const auto& transfer : running_) curl_multi_remove_handle(multi_.get(), transfer->easy());
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  void Add(HttpRequest request) {
    auto transfer = std::make_unique<HttpTransfer>(settings_, std::move(request));
    {
      const std::scoped_lock lock(mutex_);
      added_.push_back(std::move(transfer));
    }
    Check(curl_multi_wakeup(multi_.get()));
  }

  void Run() {
    TakeAdded();
    while (!waiting_.empty() || !running_.empty()) {
      const int wait_ms = Advance();
      if (!running_.empty() || wait_ms > 0) Wait(wait_ms);
    }
  }

  [[noreturn]] void Serve() {
    while (true) {
      TakeAdded();
      Wait(Advance());
    }
  }

 private:
  struct MultiCloser {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  };
  void TakeAdded() {
    const std::scoped_lock lock(mutex_);
    for (auto& transfer : added_) waiting_.push_back(std::move(transfer));
    added_.clear();
  }

  // Returns what StartSome does.
  int Advance() {
    const int wait_ms = StartSome();
    int active = 0;
    Check(curl_multi_perform(multi_.get(), &active));
    Collect();
    return wait_ms;
  }

  void Wait(int wait_ms) {
    const int longest = wait_ms > 0 ? std::min(wait_ms, 1000) : 1000;
    Check(curl_multi_poll(multi_.get(), nullptr, 0, longest, nullptr));
  }

  static void Check(CURLMcode code) {
    if (code == CURLM_OK) return;
    throw base::Error(base::Fault::kHost, "downloading").Because(curl_multi_strerror(code));
  }

  // Returns the milliseconds until a waiting transfer may start; 0 when none has to wait for its
  // time.
  int StartSome() {
    int64_t next = 0;
    const int64_t now = base::MonotonicNanoseconds();
    for (size_t i = 0;
         i < waiting_.size() && std::cmp_less(running_.size(), settings_.connections);) {
      if (waiting_[i]->not_before() > now) {
        const int64_t left = (waiting_[i]->not_before() - now) / 1'000'000 + 1;
        next = next == 0 ? left : std::min(next, left);
        ++i;
        continue;
      }
      std::unique_ptr<HttpTransfer> transfer = std::move(waiting_[i]);
      waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
      if (!transfer->Prepare()) continue;
      Check(curl_multi_add_handle(multi_.get(), transfer->easy()));
      running_.push_back(std::move(transfer));
    }
    return static_cast<int>(next);
  }

  void Collect() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      const auto found = std::find_if(running_.begin(), running_.end(), [&](const auto& transfer) {
        return transfer->easy() == message->easy_handle;
      });
      std::unique_ptr<HttpTransfer> transfer = std::move(*found);
      running_.erase(found);
      Check(curl_multi_remove_handle(multi_.get(), transfer->easy()));
      if (transfer->Done(code)) waiting_.push_front(std::move(transfer));
    }
  }

  const HttpSettings& settings_;
  std::unique_ptr<CURLM, MultiCloser> multi_;
  std::deque<std::unique_ptr<HttpTransfer>> waiting_;
  std::list<std::unique_ptr<HttpTransfer>> running_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<HttpTransfer>> added_;  // guarded by it
};

HttpClient::HttpClient(const HttpSettings& settings) {
  StartCurl();
  queue_ = std::make_unique<Queue>(settings);
}
HttpClient::~HttpClient() = default;
void HttpClient::Add(HttpRequest request) { queue_->Add(std::move(request)); }
void HttpClient::Run() { queue_->Run(); }
void HttpClient::Serve() { queue_->Serve(); }

void RunHttp(const HttpSettings& settings, const std::vector<HttpRequest>& requests) {
  HttpClient client(settings);
  for (const HttpRequest& request : requests) client.Add(request);
  client.Run();
}

}  // namespace rundlet::rootfs::worker
