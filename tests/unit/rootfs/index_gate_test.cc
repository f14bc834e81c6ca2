// Credentials of package indexes, and the gate through which the resolver sees these.
#include "rootfs/formats/index_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "rootfs/formats/index_access.h"
#include "rootfs/worker/http/index_page.h"
#include "rootfs/worker/servers/gate_request.h"
#include "why_refused.h"

namespace rundlet::rootfs {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::WhyRefused;

const base::Digest kKey = base::Digest::Of("key");
const std::string kId(32, 'a');
const std::vector<GatedIndex> kIndexes = {
    {kId, "https://index.example/simple"},
    {std::string(32, 'b'), "http://own.example:8080/x/simple"}};
constexpr std::string_view kOrigin = "http://127.0.0.1:3128";

std::string LoginText(std::string_view netrc, std::string_view host) {
  const auto login = LoginIn(netrc, host);
  return login.has_value() ? login->user + ":" + login->password : "none";
}

TEST(Netrc, HasALoginForAHost) {
  const std::string text =
      "# machine a.example login no password no\n"
      "machine a.example login u password p # why\nmachine b.example\n\tpassword \"p \\\" q\"\n"
      "\tlogin v account x\nmacdef init\ncd /\nmachine c.example login m password m\n\n"
      "machine d.example login # password #p\ndefault login anybody password secret\n"
      "machine e.example login late password late\n";
  EXPECT_EQ(LoginText(text, "a.example"), "u:p");
  EXPECT_EQ(LoginText(text, "A.Example"), "u:p");
  EXPECT_EQ(LoginText(text, "b.example"), "v:p \" q");
  EXPECT_EQ(LoginText(text, "c.example"), "none");
  EXPECT_EQ(LoginText(text, "d.example"), "#:#p");
  EXPECT_EQ(LoginText(text, "e.example"), "none");
  EXPECT_EQ(LoginText("machine a login u", "a"), "u:");
  EXPECT_EQ(LoginText("", "a"), "none");
}

TEST(Netrc, IsRefusedWithoutAWordOfIt) {
  for (const char* text : {"machine a login secret password", "machine a password secret", "secret",
                           "machine a login u password \"secret", "machine"}) {
    const std::string why = WhyRefused([&] { LoginIn(text, "a"); });
    EXPECT_THAT(why, HasSubstr("reading the netrc file")) << text;
    EXPECT_THAT(why, Not(HasSubstr("secret"))) << text;
  }
}

TEST(Realms, AreToldApartByAllThatIsPresented) {
  const IndexAccess access{{"https://i.example", "u", "p"},
                           IndexId(kKey, {"https://i.example", "u", "p"})};
  EXPECT_EQ(IndexId(kKey, access.login), access.id);
  EXPECT_NE(IndexId(base::Digest::Of("other"), access.login), access.id);
  EXPECT_NE(IndexId(kKey, {"https://i.example", "u", "q"}), access.id);
  EXPECT_NE(IndexId(kKey, {"https://i.example", "up", ""}), access.id);
  EXPECT_NE(IndexId(kKey, {"https://j.example", "u", "p"}), access.id);
  EXPECT_FALSE(IndexAccess{.login = {.url = "https://i.example"}}.realm().has_value());
  Distribution one;
  one.sha256 = base::Digest::Of("a");
  const std::string open = one.WheelKey();
  EXPECT_EQ(open, one.sha256.hex());
  one.realm = access.realm();
  EXPECT_NE(one.WheelKey(), open);
}

std::string PathAtGate(const std::string& url) {
  EXPECT_TRUE(url.starts_with(kOrigin)) << url;
  return url.substr(kOrigin.size());
}

TEST(Gate, ServesPagesAndWhatTheyNamed) {
  const auto page = ReadGatePath(PathAtGate(GateIndexUrl(kId)) + "/demo/", kKey, kIndexes);
  ASSERT_TRUE(page.has_value());
  EXPECT_TRUE(page->page);
  EXPECT_EQ(page->url, "https://index.example/simple/demo/");
  for (const std::string url :
       {"https://files.example/a/demo-1.whl", "http://h:81/demo-1.whl?s=1"}) {
    const std::string gated = GateFileUrl(kKey, kIndexes[1].id, url + "#sha256=00");
    EXPECT_THAT(gated, HasSubstr("#sha256=00"));
    const std::string path = PathAtGate(gated.substr(0, gated.find('#')));
    const auto file = ReadGatePath(path, kKey, kIndexes);
    ASSERT_TRUE(file.has_value()) << path;
    EXPECT_EQ(file->url, url);
    EXPECT_EQ(file->index, 1u);
    EXPECT_FALSE(file->page);
    EXPECT_EQ(WithoutGate("<" + gated + ">", kIndexes), "<" + url + "#sha256=00>");
  }
  // The metadata beside a file, PEP 658.
  std::string path = PathAtGate(GateFileUrl(kKey, kId, "https://f.example/x-1.whl?sig=a"));
  path.insert(path.find('?'), ".metadata");
  EXPECT_EQ(ReadGatePath(path, kKey, kIndexes)->url, "https://f.example/x-1.whl.metadata?sig=a");
}

TEST(Gate, ServesNothingElse) {
  const std::string file = PathAtGate(GateFileUrl(kKey, kId, "https://files.example/a.whl"));
  std::string elsewhere = file;
  elsewhere.replace(elsewhere.find("files.example"), 5, "inner");
  std::string plain = file;
  plain.replace(plain.find("/https/"), 7, "/http/");
  std::string of_other = file;
  of_other.replace(1, kId.size(), kIndexes[1].id);
  for (const std::string& path :
       {std::string(), std::string("/"), std::string("/simple/demo/"), elsewhere, plain, of_other,
        file + "x", file + "/../b.whl", file + ".metadata.metadata", "/" + kId + "/simple/",
        "/" + kId + "/simple/demo/x", "/" + kId + "/simple/../x/", "/" + kId + "/simple/de%2fmo/",
        "/" + kId + "/file/", "/" + kId + "/file/0/https/files.example/a.whl", file.substr(1)}) {
    EXPECT_FALSE(ReadGatePath(path, kKey, kIndexes).has_value()) << path;
  }
  EXPECT_FALSE(ReadGatePath(file, base::Digest::Of("other"), kIndexes).has_value());
  EXPECT_EQ(GateFileUrl(kKey, kId, "ftp://files.example/a.whl"), "");
  EXPECT_EQ(GateFileUrl(kKey, kId, "https://user@files.example/a.whl"), "");
}

TEST(Gate, IsNotToBeSeenInMessages) {
  EXPECT_EQ(WithoutGate("failed to fetch: " + GateIndexUrl(kId) + "/demo/ and " +
                            GateIndexUrl(kIndexes[1].id),
                        kIndexes),
            "failed to fetch: https://index.example/simple/demo/ and "
            "http://own.example:8080/x/simple");
  for (const std::string text : {"http://127.0.0.1:3128/", "http://127.0.0.1:3128/other/simple/x",
                                 "http://127.0.0.1:3128", ""}) {
    EXPECT_EQ(WithoutGate(text, kIndexes), text);
  }
  const std::string cut = std::string(kOrigin) + "/" + kId + "/file/00";
  EXPECT_EQ(WithoutGate(cut, kIndexes), cut);
}

namespace worker_tests {

using worker::GateRequest;
using worker::ReadGateRequest;

std::string Renamed(const std::string& url) { return "[" + url + "]"; }

std::string InJson(const std::string& page) {
  return worker::RenameInJson(page, "https://i.example/simple/a/", [](const std::string& url) {
    return url.ends_with("gone") ? "" : Renamed(url);
  });
}

TEST(IndexPages, KeepAllButTheAddressesOfTheirFiles) {
  EXPECT_EQ(
      InJson(R"({"name": "url", "files": [{"url": "../f/a-1.whl", "yanked": "\"url\": \"x\""},
                       {"url" : "https:\/\/h\/x"}, {"url": "gone"}, {"url": 1}, {"url": ["x"]},
                       {"of": "url", "x": "y"}, {"url":"http://h/y#sha256=1"}, "url", "z"]})"),
      R"({"name": "url", "files": [{"url": "[https://i.example/simple/f/a-1.whl]", "yanked": "\"url\": \"x\""},
                       {"url" : "[https://h/x]"}, {"url": "gone"}, {"url": 1}, {"url": ["x"]},
                       {"of": "url", "x": "y"}, {"url":"[http://h/y#sha256=1]"}, "url", "z"]})");
  for (const char* cut : {"", "{", R"({"url)", R"({"url")", R"({"url":)", R"({"url": "x)",
                          R"({"url": "\)", R"({"url": "\u12"})"}) {
    EXPECT_EQ(InJson(cut), cut);
  }
  EXPECT_EQ(
      worker::RenameInHtml("<html><base href='https://b.example/x/'><a  data-yanked=\"href=no\" "
                           "href=\"y?a=1&amp;b\">y</a><A href=\"z\"><a href=z>"
                           "<a href='/q#sha256=1'>q</a><a href=\"cut",
                           "https://i.example/simple/a/", Renamed),
      "<html><base href='https://b.example/x/'><a  data-yanked=\"href=no\" "
      "href=\"[https://b.example/x/y?a=1&amp;b]\">y</a><A href=\"z\"><a href=z>"
      "<a href='[https://b.example/q#sha256=1]'>q</a><a href=\"cut");
}

TEST(GateRequests, AreReadStrictly) {
  const GateRequest whole = ReadGateRequest(
      "GET /a?b HTTP/1.1\r\nHost: x\r\nIf-None-Match: W/\"t\"\r\nRANGE: bytes=5-9\r\n"
      "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.path, "/a?b");
  EXPECT_EQ(whole.unless, "W/\"t\"");
  ASSERT_TRUE(whole.range.has_value());
  EXPECT_EQ(whole.range->first, 5u);
  EXPECT_EQ(whole.range->last, 9u);
  EXPECT_FALSE(whole.last);
  const GateRequest head =
      ReadGateRequest("HEAD / HTTP/1.1\r\nConnection: close\r\nRange: bytes=-5\r\n\r\n");
  EXPECT_EQ(head.method, worker::HttpMethod::kHead);
  EXPECT_TRUE(head.last);
  EXPECT_FALSE(head.range.has_value());
  for (const char* text :
       {"POST / HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\n\r\n", "GET /", "GET / HTTP/1.1\r\nx\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    EXPECT_NE(ReadGateRequest(text).status, 200) << text;
  }
}

}  // namespace worker_tests
}  // namespace
}  // namespace rundlet::rootfs
