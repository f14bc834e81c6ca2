// What a sandbox may ask the mirror of the package index for, and the pages it gets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "rootfs/worker/http/index_page.h"
#include "rootfs/worker/servers/mirror_page.h"
#include "rootfs/worker/servers/mirror_request.h"

namespace rundlet::rootfs::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const base::Digest kOfFile = base::Digest::Of("file");

MirrorRequest Ask(const std::string& line) {
  return ReadMirrorRequest(line + "\r\nHost: x\r\n\r\n");
}
MirrorRequest Get(const std::string& path) { return Ask("GET " + path + " HTTP/1.1"); }

TEST(MirrorRequest, IsForAPage) {
  EXPECT_EQ(Get("/simple/zope-interface/").project, "zope-interface");
  EXPECT_EQ(Get("/simple/Zope.Interface").project, "zope-interface");
  EXPECT_EQ(Get("/simple/six/?format=json").project, "six");
  EXPECT_TRUE(Get("/simple/six/").body);
  const MirrorRequest head = Ask("HEAD /simple/six/ HTTP/1.0");
  EXPECT_EQ(head.project, "six");
  EXPECT_FALSE(head.body);
}

TEST(MirrorRequest, IsForAFile) {
  const std::string path = MirrorPath(kOfFile, "torch-2.0+cu118-py3-none-any.whl");
  EXPECT_EQ(Get(path).file, path);
  EXPECT_EQ(Get("/files/" + kOfFile.hex() + "/torch-2.0%2Bcu118-py3-none-any.whl").file, path);
  EXPECT_EQ(Get(path + ".metadata").file, path + ".metadata");
  EXPECT_EQ(Get(path).project, "");
}

TEST(MirrorRequest, IsForNothingElse) {
  const std::string folder = "/files/" + kOfFile.hex();
  for (const std::string& path :
       {std::string("/"), std::string("/simple/"), std::string("/simple"), std::string("/simple//"),
        std::string("//simple/six/"), std::string("/simple/six/../uv/"), std::string("/simple/-x/"),
        std::string("/simple/a%20b/"), "/simple/" + std::string(129, 'a') + "/",
        std::string("/legacy/six/"), folder, folder + "/", folder + "/a%2Fb", folder + "/a%00b",
        folder + "/a%0Ab", folder + "/" + std::string(256, 'a'), std::string("/files/x/six.whl"),
        folder + "/more/six.whl"}) {
    const MirrorRequest request = Get(path);
    EXPECT_EQ(request.status, 404) << path;
    EXPECT_FALSE(request.reason.empty());
    EXPECT_EQ(request.project + request.file, "");
  }
}

TEST(MirrorRequest, IsNoProxyRequestAndChangesNothing) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "get"})
    EXPECT_EQ(Ask(method + std::string(" /simple/six/ HTTP/1.1")).status, 405) << method;
  EXPECT_EQ(Get("http://127.0.0.1:3128/simple/six/").status, 403);
  EXPECT_EQ(Get("https://index.example/simple/six/").status, 403);
  EXPECT_EQ(Get("index.example:443").status, 403);
  EXPECT_EQ(Ask("GET /simple/six/").status, 400);
  EXPECT_EQ(Ask("GET /simple/six/ HTTP/2").status, 400);
  EXPECT_EQ(Ask("").status, 400);
}

TEST(MirrorPage, SaysWhatTheIndexSaid) {
  IndexFile file = {
      .filename = "x+y-1.0-py3-none-any.whl", .url = "https://h/1", .sha256 = kOfFile};
  file.requires_python = ">=3.8,<4";
  file.yanked = "a \"bad\" <one>";
  file.metadata = base::Digest::Of("metadata");
  const IndexFile plain = {.filename = "y-1.tar.gz", .url = "https://h/2", .sha256 = kOfFile};
  const std::string page = MirrorPage({file, plain});
  EXPECT_THAT(page, HasSubstr("href=\"/files/" + kOfFile.hex() +
                              "/x%2By-1.0-py3-none-any.whl#sha256=" + kOfFile.hex() + "\""));
  EXPECT_THAT(page, HasSubstr("data-requires-python=\"&gt;=3.8,&lt;4\""));
  EXPECT_THAT(page, Not(HasSubstr("https:")));
  const auto again = ParseIndexHtml(page, "http://127.0.0.1:3128/simple/x/");
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].filename, file.filename);
  EXPECT_EQ(again[0].requires_python, file.requires_python);
  EXPECT_EQ(again[0].yanked, file.yanked);
  EXPECT_EQ(again[0].metadata, file.metadata);
  EXPECT_EQ(again[1].yanked, std::nullopt);
  EXPECT_EQ(again[1].metadata, std::nullopt);
}

TEST(MirrorPage, LeavesOutNamesThatCouldBeNone) {
  for (const char* name : {"", "a/b", "a b", "a\nb", "\xc3\xa4"}) {
    const IndexFile file = {.filename = name, .url = "https://h/1", .sha256 = kOfFile};
    EXPECT_THAT(MirrorPage({file}), Not(HasSubstr("href"))) << name;
  }
}

}  // namespace
}  // namespace rundlet::rootfs::worker
