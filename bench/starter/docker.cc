#include "docker.h"

#include <curl/curl.h>

#include <string>

#include "base/error.h"
#include "base/process.h"

namespace rundlet::bench {
namespace {

using nlohmann::json;

size_t Append(char* bytes, size_t size, size_t count, void* text) {
  static_cast<std::string*>(text)->append(bytes, size * count);
  return size * count;
}

// One connection for the requests of one start.
class Daemon {
 public:
  explicit Daemon(const std::string& socket)
      : curl_(curl_easy_init(), curl_easy_cleanup),
        headers_(curl_slist_append(nullptr, "Content-Type: application/json"),
                 curl_slist_free_all) {
    curl_easy_setopt(curl_.get(), CURLOPT_UNIX_SOCKET_PATH, socket.c_str());
    curl_easy_setopt(curl_.get(), CURLOPT_HTTPHEADER, headers_.get());
    curl_easy_setopt(curl_.get(), CURLOPT_WRITEFUNCTION, Append);
    curl_easy_setopt(curl_.get(), CURLOPT_NOSIGNAL, 1L);
  }

  std::string Ask(const char* method, const std::string& path, const std::string& body = "") {
    std::string answer;
    curl_easy_setopt(curl_.get(), CURLOPT_URL, ("http://docker" + path).c_str());
    curl_easy_setopt(curl_.get(), CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl_.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    curl_easy_setopt(curl_.get(), CURLOPT_COPYPOSTFIELDS, body.c_str());
    curl_easy_setopt(curl_.get(), CURLOPT_WRITEDATA, &answer);
    const CURLcode code = curl_easy_perform(curl_.get());
    long status = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && status < 300) return answer;
    throw base::Error(base::Fault::kHost, fmt::format("asking docker for `{} {}`", method, path))
        .Because(code == CURLE_OK ? answer : curl_easy_strerror(code));
  }

 private:
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl_;
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers_;
};

class Container : public Start {
 public:
  explicit Container(const json& description)
      : socket_(description.at("socket").get<std::string>()),
        container_(description.at("container").dump()) {}

  Times Once() override {
    Times times{.started = base::MonotonicNanoseconds()};
    Daemon daemon(socket_);
    const json created = json::parse(daemon.Ask("POST", "/containers/create", container_));
    const std::string path = "/containers/" + created.at("Id").get<std::string>();
    daemon.Ask("POST", path + "/start");
    const json ended = json::parse(daemon.Ask("POST", path + "/wait"));
    daemon.Ask("DELETE", path);
    times.ended = base::MonotonicNanoseconds();
    if (ended.at("StatusCode") == 0) return times;
    throw base::Error(base::Fault::kHost, "running a container").Because(ended.dump());
  }

 private:
  const std::string socket_;
  const std::string container_;
};

}  // namespace

std::unique_ptr<Start> MakeDockerStart(const json& description) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  return std::make_unique<Container>(description);
}

}  // namespace rundlet::bench
