// What the resolver sees of package indexes: pages and the files they name, read only, fetched by
// the fetcher with its address rules and with credentials that no sandbox sees. Outside of the
// resolver's sandbox, accepting on a socket of its network namespace. Both sides are hostile: the
// indexes, and whatever an image runs beside the resolver.
#include "rootfs/formats/index_gate.h"

#include <poll.h>

#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "base/fs.h"
#include "rootfs/worker/command.h"
#include "rootfs/worker/http/fetch.h"
#include "rootfs/worker/http/index_get.h"
#include "rootfs/worker/http/index_page.h"
#include "rootfs/worker/servers/connection.h"
#include "rootfs/worker/servers/gate_request.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr auto kIdle = std::chrono::minutes(10);
constexpr int kFailureFile = kFirstFile + 1;
constexpr int kNotServed = 424;  // an index's failure: no use in trying again, the fetcher did

struct Index {
  explicit Index(HttpSettings given) : settings(std::move(given)), client(settings) {}
  const HttpSettings settings;
  HttpClient client;
};

struct Gate {
  base::Digest key;
  std::vector<GatedIndex> addresses;
  std::list<Index> indexes;  // in that order
  std::mutex mutex;
  bool failed = false;  // guarded by it

  Index& At(size_t number) { return *std::next(indexes.begin(), static_cast<ptrdiff_t>(number)); }

  // For whoever started the resolver: it is told more than a status, the first time.
  void Note(size_t index, const HttpFailure& failure) {
    const std::scoped_lock lock(mutex);
    if (std::exchange(failed, true)) return;
    const nlohmann::json line = {{"index", index},
                                 {"status", failure.status},
                                 {"host", failure.host_fault},
                                 {"cause", failure.cause}};
    base::WriteFd(kFailureFile, line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                  "what an index answered");
  }
};

std::string Head(int status, const HttpHeaders& headers) {
  std::string head = fmt::format("HTTP/1.1 {} -\r\n", status);
  for (const auto& [name, value] : headers) head += fmt::format("{}: {}\r\n", name, value);
  return head + "\r\n";
}

// What a connection's thread waits for: the fetching thread's last word.
class Ending {
 public:
  void Tell() {
    const std::scoped_lock lock(mutex_);
    told_ = true;
    changed_.notify_one();  // under the lock: whoever waits may end this object next
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return told_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool told_ = false;
};

class AwaitedPage : public PageTarget {
 public:
  std::optional<HttpFailure> Complete() override {
    ending_.Tell();
    return std::nullopt;
  }
  void Failed(const HttpFailure& failure) override {
    PageTarget::Failed(failure);
    ending_.Tell();
  }
  const std::optional<HttpFailure>& Wait() {
    ending_.Wait();
    return failure();
  }

 private:
  Ending ending_;
};

// Passes a file on while it comes.
class PassedFile : public HttpTarget {
 public:
  PassedFile(int client, const GateRequest& request) : client_(client), request_(request) {}

  uint64_t ResumeFrom() override { return 0; }
  std::optional<std::string> Begin(const Start& start) override {
    if (begun_) return "it broke off";
    begun_ = true;
    HttpHeaders headers = start.headers;
    headers.emplace_back("content-type", "application/octet-stream");
    if (start.part) {
      headers.emplace_back("content-range", fmt::format("bytes {}-{}/{}", request_.range->first,
                                                        request_.range->last, start.total));
      left_ = request_.range->last - request_.range->first + 1;
    } else {
      left_ = start.total;
      if (left_ == 0 && request_.method == HttpMethod::kGet) unsized_ = true;
    }
    if (!unsized_) headers.emplace_back("content-length", std::to_string(left_));
    if (unsized_) headers.emplace_back("connection", "close");
    return Write(Head(start.part ? 206 : 200, headers));
  }
  std::optional<std::string> Take(std::span<const std::byte> piece) override {
    passed_ += piece.size();
    if (passed_ > (unsized_ ? kServedFileLimit : left_)) return "the file is larger than it said";
    return Write({reinterpret_cast<const char*>(piece.data()), piece.size()});
  }
  std::optional<HttpFailure> Complete() override {
    ending_.Tell();
    return std::nullopt;
  }
  void Failed(const HttpFailure& failure) override {
    failure_ = failure;
    ending_.Tell();
  }

  const std::optional<HttpFailure>& Wait() {
    ending_.Wait();
    return failure_;
  }
  bool begun() const { return begun_; }
  // Whether the client has all of it and may ask for more.
  bool whole() const {
    return !unsized_ && (passed_ == left_ || request_.method == HttpMethod::kHead);
  }

 private:
  std::optional<std::string> Write(std::string_view bytes) {
    if (Send(client_, bytes)) return std::nullopt;
    return "the resolver went away";
  }

  const int client_;
  const GateRequest& request_;
  bool begun_ = false;
  bool unsized_ = false;
  uint64_t left_ = 0;
  uint64_t passed_ = 0;
  std::optional<HttpFailure> failure_;
  Ending ending_;
};

class Connection {
 public:
  Connection(Gate& gate, base::UniqueFd client) : gate_(gate), client_(std::move(client)) {}

  void Serve() {
    while (const std::optional<GateRequest> request = Next()) {
      if (!Answer(*request) || request->last) return;
    }
  }

 private:
  std::optional<GateRequest> Next() {
    if (bytes_.empty() && !WaitUntil(client_.get(), POLLIN, Clock::now() + kIdle))
      return std::nullopt;
    const size_t length = ReadHead(client_.get(), bytes_, kMaxGateHead);
    GateRequest request = ReadGateRequest(std::string_view(bytes_).substr(0, length));
    bytes_.erase(0, length);
    return request;
  }

  // False when the connection is of no more use.
  bool Answer(const GateRequest& request) {
    if (request.status != 200) {
      Short(request.status);
      return false;
    }
    const auto target = ReadGatePath(request.path, gate_.key, gate_.addresses);
    if (!target.has_value()) return Short(403);
    if (!target->page) return AnswerFile(request, *target);
    return request.method == HttpMethod::kGet ? AnswerPage(request, *target) : Short(405);
  }

  bool AnswerPage(const GateRequest& request, const GateTarget& target) {
    AwaitedPage page;
    HttpRequest asked = page.RequestFor(target.url);
    asked.unless = request.unless;
    gate_.At(target.index).client.Add(std::move(asked));
    if (const auto& failure = page.Wait()) return AnswerFailure(target, *failure);
    const std::string& id = gate_.addresses[target.index].id;
    const RenameFile rename = [&](const std::string& url) {
      return GateFileUrl(gate_.key, id, url);
    };
    const bool json = IsJsonPage(page.page());
    const std::string body = json ? RenameInJson(page.page(), page.start().url, rename)
                                  : RenameInHtml(page.page(), page.start().url, rename);
    HttpHeaders headers = page.start().headers;
    headers.emplace_back("content-type",
                         json ? "application/vnd.pypi.simple.v1+json" : "text/html; charset=utf-8");
    headers.emplace_back("content-length", std::to_string(body.size()));
    return Write(Head(200, headers) + body);
  }

  bool AnswerFile(const GateRequest& request, const GateTarget& target) {
    PassedFile file(client_.get(), request);
    gate_.At(target.index)
        .client.Add({.url = target.url,
                     .target = &file,
                     .method = request.method,
                     .range = request.range,
                     .unless = request.unless});
    const auto& failure = file.Wait();
    if (failure.has_value()) return !file.begun() && AnswerFailure(target, *failure);
    return file.whole();
  }

  bool AnswerFailure(const GateTarget& target, const HttpFailure& failure) {
    const auto status = static_cast<int>(failure.status);
    if (status == 304) return Write(Head(304, failure.headers));
    // Not there: a part of many resolutions.
    if (status == 404 || status == 410) return Short(404);
    gate_.Note(target.index, failure);
    // Some indexes answer so for a project that they do not have.
    return Short(status == 401 || status == 403 ? status : kNotServed);
  }

  bool Short(int status) { return Write(Head(status, {{"content-length", "0"}})); }
  bool Write(std::string_view bytes) { return Send(client_.get(), bytes); }

  Gate& gate_;
  const base::UniqueFd client_;
  std::string bytes_;  // read and not yet looked at
};

}  // namespace

// Request: {"key", "indexes": [{"id", "url", "user", "password", "proxy"}, ...]} and the fields of
// ReadHttpSettings; without a user, nothing is presented to an index. The first
// file is the socket, the second one receives the first failure of an index: {"index", "status",
// "host", "cause"}. Never answers: it serves until it is killed.
nlohmann::json IndexGate(const nlohmann::json& request) {
  Gate gate;
  gate.key = base::Digest::Parse(request.at("key").get<std::string>()).value();
  const HttpSettings common = ReadHttpSettings(request);
  for (const nlohmann::json& one : request.at("indexes")) {
    HttpSettings settings = common;
    settings.proxy = one.at("proxy");
    settings.share_connections = true;
    settings.connections = 64;
    if (!one.at("user").get<std::string>().empty())
      settings.logins.push_back({one.at("url"), one.at("user"), one.at("password")});
    gate.addresses.push_back({one.at("id"), one.at("url")});
    Index& index = gate.indexes.emplace_back(std::move(settings));
    std::thread([&index] { index.client.Serve(); }).detach();
  }
  ServeConnections(kFirstFile, [&gate](base::UniqueFd client) {
    try {
      Connection(gate, std::move(client)).Serve();
    } catch (const Refusal&) {
      // uv went away, or sends no requests.
    } catch (const std::exception&) {
      // Out of memory, say: this connection ends.
    }
  });
}

}  // namespace rundlet::rootfs::worker
