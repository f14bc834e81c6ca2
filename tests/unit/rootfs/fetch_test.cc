// The fetcher against a server of one thread on a loopback socket, which answers as a script says.
#include "rootfs/worker/http/fetch.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <list>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/fs.h"
#include "base/url.h"
#include "rootfs/net/fetch.h"
#include "rootfs/worker/http/fetch_address.h"
#include "rootfs/worker/http/fetch_url.h"
#include "rootfs/worker/http/index_page.h"

namespace rundlet::rootfs::worker {
namespace {

using ::testing::HasSubstr;

// Answers the n-th connection with the n-th text, then closes it.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<std::string> answers) : answers_(std::move(answers)) {
    listener_ = base::UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    RUNDLET_CHECK(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    RUNDLET_CHECK(listen(listener_.get(), 16) == 0);
    RUNDLET_CHECK(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~ScriptedServer() {
    shutdown(listener_.get(), SHUT_RDWR);  // ends the accept
    thread_.join();
  }

  std::string Url(const std::string& path) const {
    return fmt::format("http://127.0.0.1:{}{}", port_, path);
  }
  uint16_t port() const { return port_; }
  std::vector<std::string> requests() const {
    const std::scoped_lock lock(mutex_);
    return requests_;
  }

 private:
  void Serve() {
    for (size_t n = 0;; ++n) {
      const base::UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection.valid()) return;
      std::string request;
      char buffer[4096];
      while (request.find("\r\n\r\n") == request.npos) {
        const ssize_t count = recv(connection.get(), buffer, sizeof buffer, 0);
        if (count <= 0) break;
        request.append(buffer, static_cast<size_t>(count));
      }
      const std::scoped_lock lock(mutex_);
      requests_.push_back(request);
      const std::string answer = n < answers_.size() ? answers_[n] : "HTTP/1.1 418 No\r\n\r\n";
      send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }

  std::vector<std::string> answers_;
  base::UniqueFd listener_;
  uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

std::string Answer(const std::string& status, const std::string& headers, const std::string& body) {
  return fmt::format("HTTP/1.1 {}\r\nConnection: close\r\n{}\r\n{}", status, headers, body);
}

std::string Ok(const std::string& body) {
  return Answer("200 OK", fmt::format("Content-Length: {}\r\n", body.size()), body);
}

const std::string kBody = "0123456789";

struct Result {
  std::string cause;  // empty: it arrived
  std::string bytes;
};

Result Get(const std::string& url, const std::string& expected = kBody,
           uint64_t size = kBody.size(),
           const std::vector<std::string>& private_hosts = {"127.0.0.1"}) {
  const base::UniqueFd file = base::MemoryFile("fetched", "");
  FileTarget target({.fd = file.get(), .size = size, .sha256 = base::Digest::Of(expected)});
  HttpSettings settings;
  settings.private_hosts = private_hosts;
  settings.first_wait_ms = 0;
  RunHttp(settings, {{.url = url, .target = &target}});
  if (target.failure().has_value()) return {target.failure()->cause, ""};
  RUNDLET_CHECK(lseek(file.get(), 0, SEEK_SET) == 0);
  return {"", base::ReadFd(file.get(), 1 << 20, "the download")};
}

TEST(Fetch, SendsCredentialsToTheOriginOnly) {
  const ScriptedServer other({Ok(kBody)});
  const ScriptedServer server({Answer("307 There", "Location: " + other.Url("/y") + "\r\n", "")});
  for (const bool token : {true, false}) {
    const base::UniqueFd file = base::MemoryFile("fetched", "");
    FileTarget target({.fd = file.get(), .size = kBody.size(), .sha256 = base::Digest::Of(kBody)});
    HttpSettings settings;
    settings.private_hosts = {"127.0.0.1"};
    settings.retries = 0;
    HttpRequest request{.url = server.Url("/x"), .target = &target};
    if (token) request.token = "t0ken";
    if (!token) request.user = "user";
    RunHttp(settings, {request});
  }
  ASSERT_EQ(server.requests().size(), 2u);
  EXPECT_THAT(server.requests()[0], HasSubstr("Authorization: Bearer t0ken\r\n"));
  EXPECT_THAT(server.requests()[1], HasSubstr("Authorization: Basic "));
  ASSERT_EQ(other.requests().size(), 1u);
  EXPECT_THAT(other.requests()[0], ::testing::Not(HasSubstr("Authorization")));
}

TEST(Fetch, DoesNotJoinTwoFiles) {
  // Half of one, then the rest of another, then the whole.
  const ScriptedServer server(
      {Answer("200 OK", "ETag: \"a\"\r\nContent-Length: 10\r\n", "01234"),
       Answer("206 Part", "ETag: \"b\"\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n",
              "56789"),
       Ok(kBody)});
  EXPECT_EQ(Get(server.Url("/x")).bytes, kBody);
  ASSERT_EQ(server.requests().size(), 3u);
  EXPECT_THAT(server.requests()[1], HasSubstr("If-Range: \"a\"\r\n"));
  EXPECT_THAT(server.requests()[2], ::testing::Not(HasSubstr("Range")));
}

TEST(Fetch, WaitsAsLongAsItIsAskedButNotForEver) {
  const ScriptedServer server({Answer("503 Busy", "Retry-After: 0\r\n", ""), Ok(kBody),
                               Answer("503 Busy", "Retry-After: 31\r\n", "")});
  EXPECT_EQ(Get(server.Url("/x")).bytes, kBody);
  EXPECT_THAT(Get(server.Url("/x")).cause, HasSubstr("asks to come back in 31 s"));
}

TEST(Fetch, Downloads) {
  const ScriptedServer server({Ok(kBody)});
  EXPECT_EQ(Get(server.Url("/x")).bytes, kBody);
  ASSERT_EQ(server.requests().size(), 1u);
  EXPECT_THAT(server.requests()[0], ::testing::StartsWith("GET /x HTTP/1.1\r\n"));
}

TEST(Fetch, AnEmptyFileArrives) {
  const ScriptedServer server({Ok("")});
  EXPECT_EQ(Get(server.Url("/x"), "", 0).cause, "");
}

TEST(Fetch, TriesAgainAfterServerErrors) {
  const ScriptedServer server(
      {Answer("500 Oops", "", ""), Answer("503 Busy", "", "later"), Ok(kBody)});
  EXPECT_EQ(Get(server.Url("/x")).bytes, kBody);
}

TEST(Fetch, GivesUpAfterFourTries) {
  const ScriptedServer server(std::vector<std::string>(9, Answer("500 Oops", "", "")));
  EXPECT_EQ(Get(server.Url("/x")).cause, "`127.0.0.1` answers 500 (tried 4 times)");
  EXPECT_EQ(server.requests().size(), 4u);
}

TEST(Fetch, DoesNotAskAgainForWhatIsNotThere) {
  const ScriptedServer server({Answer("404 Not Found", "", "")});
  EXPECT_EQ(Get(server.Url("/x")).cause, "`127.0.0.1` answers 404 (not there)");
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST(Fetch, ContinuesWhereADownloadBroke) {
  const ScriptedServer server(
      {Answer("200 OK", "Content-Length: 10\r\n", "01234"),
       Answer("206 Partial Content", "Content-Length: 5\r\nContent-Range: bytes 5-9/10\r\n",
              "56789")});
  EXPECT_EQ(Get(server.Url("/x")).bytes, kBody);
  EXPECT_THAT(server.requests().at(1), HasSubstr("Range: bytes=5-\r\n"));
}

TEST(Fetch, StartsOverWhenTheServerDoesNotContinue) {
  const ScriptedServer server({Answer("200 OK", "Content-Length: 10\r\n", "01234"), Ok(kBody)});
  EXPECT_EQ(Get(server.Url("/x")).bytes, kBody);
}

TEST(Fetch, StartsOverWhenTheRangeIsRefused) {
  const ScriptedServer server({Answer("200 OK", "Content-Length: 10\r\n", "01234"),
                               Answer("416 No", "Content-Length: 0\r\n", ""), Ok(kBody)});
  EXPECT_EQ(Get(server.Url("/x")).bytes, kBody);
  EXPECT_THAT(server.requests().at(2), ::testing::Not(HasSubstr("Range:")));
}

TEST(Fetch, AFileThatChangedBetweenTwoPartsIsFetchedAgain) {
  const ScriptedServer server(
      {Answer("200 OK", "Content-Length: 10\r\n", "xxxxx"),
       Answer("206 Partial Content", "Content-Length: 5\r\nContent-Range: bytes 5-9/10\r\n",
              "56789"),
       Ok(kBody)});
  EXPECT_EQ(Get(server.Url("/x")).bytes, kBody);
}

TEST(Fetch, AnotherRangeThanAskedForIsRefused) {
  const ScriptedServer server(
      {Answer("200 OK", "Content-Length: 10\r\n", "01234"),
       Answer("206 Partial Content", "Content-Length: 5\r\nContent-Range: bytes 4-8/10\r\n",
              "45678")});
  EXPECT_EQ(Get(server.Url("/x")).cause, "the server sends another range than asked for");
}

TEST(Fetch, OtherBytesAreRefusedAtOnce) {
  const ScriptedServer server({Ok("9876543210"), Ok(kBody)});
  EXPECT_THAT(Get(server.Url("/x")).cause, HasSubstr("the lock says"));
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST(Fetch, ALongerAnswerIsCutOff) {
  const ScriptedServer server({Answer("200 OK", "", kBody + "more"), Ok(kBody + "more")});
  EXPECT_EQ(Get(server.Url("/x")).cause, "the file is larger than 10 bytes");
  EXPECT_EQ(Get(server.Url("/x")).cause, "the server sends 14 bytes, the lock says 10");
}

TEST(Fetch, FollowsRedirectsButNotForEver) {
  const std::string again = Answer("302 Found", "Location: /y\r\n", "ignored");
  const ScriptedServer good({again, again, Ok(kBody)});
  EXPECT_EQ(Get(good.Url("/x")).bytes, kBody);
  EXPECT_THAT(good.requests().at(1), ::testing::StartsWith("GET /y "));
  const ScriptedServer endless(std::vector<std::string>(20, again));
  EXPECT_EQ(Get(endless.Url("/x")).cause, "more than 5 redirects");
  const ScriptedServer file({Answer("302 Found", "Location: file:///etc/passwd\r\n", "")});
  EXPECT_EQ(Get(file.Url("/x")).cause, "it is not an http or https URL");
  const ScriptedServer secret(
      {Answer("302 Found", "Location: http://user:word@127.0.0.1/\r\n", "")});
  EXPECT_EQ(Get(secret.Url("/x")).cause, "the URL carries credentials");
}

TEST(Fetch, NobodyLeadsItToAnInnerAddress) {
  const ScriptedServer inner({Ok(kBody)});
  EXPECT_EQ(Get(inner.Url("/x"), kBody, 10, {}).cause,
            "`127.0.0.1` leads to an inner address, which only a configured host may");
  // A configured index is trusted itself, not where it points to.
  const std::string target = fmt::format("Location: http://localhost:{}/x\r\n", inner.port());
  const ScriptedServer index({Answer("302 Found", target, "")});
  EXPECT_EQ(Get(index.Url("/x")).cause,
            "`localhost` leads to an inner address, which only a configured host may");
  EXPECT_TRUE(inner.requests().empty());
}

TEST(Fetch, SeveralAtOnce) {
  const ScriptedServer server({Ok(kBody), Ok(kBody), Ok(kBody)});
  HttpSettings settings;
  settings.private_hosts = {"127.0.0.1"};
  settings.connections = 2;
  std::vector<base::UniqueFd> files;
  std::list<FileTarget> targets;
  std::vector<HttpRequest> requests;
  for (uint64_t i = 0; i < 3; ++i) {
    files.push_back(base::MemoryFile("fetched", ""));
    targets.emplace_back(FileTarget::Wanted{
        .fd = files.back().get(), .item = i, .size = 10, .sha256 = base::Digest::Of(kBody)});
    requests.push_back({.url = server.Url("/x"), .target = &targets.back()});
  }
  RunHttp(settings, requests);
  for (const FileTarget& target : targets) EXPECT_FALSE(target.failure().has_value());
}

TEST(FetchAddress, OnlyPublicOnesCount) {
  const auto is_public = [](const char* text) {
    sockaddr_storage storage{};
    auto* four = reinterpret_cast<sockaddr_in*>(&storage);
    auto* six = reinterpret_cast<sockaddr_in6*>(&storage);
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
      four->sin_family = AF_INET;
    } else {
      RUNDLET_CHECK(inet_pton(AF_INET6, text, &six->sin6_addr) == 1);
      six->sin6_family = AF_INET6;
    }
    return IsPublicAddress(reinterpret_cast<const sockaddr&>(storage));
  };
  for (const char* inner : {"0.0.0.0",
                            "10.1.2.3",
                            "100.64.0.1",
                            "127.0.0.1",
                            "127.255.255.255",
                            "169.254.169.254",
                            "172.16.0.1",
                            "172.31.255.255",
                            "192.168.1.1",
                            "198.18.0.1",
                            "224.0.0.1",
                            "255.255.255.255",
                            "::",
                            "::1",
                            "::ffff:10.0.0.1",
                            "64:ff9b::a00:1",
                            "2002:a00:1::",
                            "fc00::1",
                            "fe80::1",
                            "ff02::1",
                            "2001::1"}) {
    EXPECT_FALSE(is_public(inner)) << inner;
  }
  for (const char* outer : {"1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1",
                            "::ffff:1.1.1.1", "2002:101:101::"}) {
    EXPECT_TRUE(is_public(outer)) << outer;
  }
  sockaddr other{};
  other.sa_family = AF_UNIX;
  EXPECT_FALSE(IsPublicAddress(other));
}

TEST(FetchUrl, HostsAndDomains) {
  EXPECT_TRUE(IsInDomains("a.Example", {"example"}));
  EXPECT_TRUE(IsInDomains("example", {".example"}));
  EXPECT_TRUE(IsInDomains("anything", {"*"}));
  EXPECT_FALSE(IsInDomains("notexample", {"example", ""}));
  EXPECT_EQ(PartsOf("https://u@host.example:8/x").host, "host.example");
  EXPECT_EQ(PartsOf("https://u@host.example:8/x").user, "u");
  EXPECT_EQ(ResolveUrl("https://h.example/simple/six/", "../../f/six.whl"),
            "https://h.example/f/six.whl");
  EXPECT_EQ(ResolveUrl("https://h.example/simple/six/", "https://o.example/six.whl"),
            "https://o.example/six.whl");
  EXPECT_EQ(base::UrlHost("https://user:word@h.example:8443/x?y"), "h.example");
  EXPECT_EQ(base::UrlHost("http://[::1]:80/"), "[::1]");
}

const std::string kHash = base::Digest::Of("x").hex();
constexpr const char* kPage = "https://h.example/simple/uv/";

TEST(IndexPage, Json) {
  const auto files = ParseIndexJson(
      R"({"meta":{},"files":[{"filename":"uv-1.whl","url":"../../uv-1.whl","hashes":{"sha256":")" +
          kHash + R"("},"size":7},{"url":"https://o.example/a%20b.whl?x","hashes":{"sha256":")" +
          kHash + R"("}},{"filename":"no-hash.whl","url":"x","hashes":{}},{"hashes":[]},7]})",
      kPage);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].url, "https://h.example/uv-1.whl");
  EXPECT_EQ(files[0].size, 7u);
  EXPECT_EQ(files[1].filename, "a b.whl");
  for (const char* bad : {"", "[]", "{}", R"({"files":{}})"}) {
    EXPECT_THROW(ParseIndexJson(bad, kPage), base::Error) << bad;
  }
}

TEST(IndexPage, Html) {
  const auto files = ParseIndexHtml(
      "<!DOCTYPE html><html><body><a data-x=\"1\" href=\"/f/uv-1.whl?a=1&amp;b=2#sha256=" + kHash +
          "\">uv</a> <a href='none.whl'>x</a><a\nhref='uv-2.whl#sha256=" + kHash +
          "'>y</a><a href=\"open",
      kPage);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].url, "https://h.example/f/uv-1.whl?a=1&b=2");
  EXPECT_EQ(files[0].filename, "uv-1.whl");
  EXPECT_EQ(files[1].url, "https://h.example/simple/uv/uv-2.whl");
}

}  // namespace
}  // namespace rundlet::rootfs::worker
