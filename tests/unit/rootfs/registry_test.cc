// What is pure about registries: references, credentials in files, challenges, platforms.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "rootfs/formats/oci.h"
#include "rootfs/formats/reference.h"
#include "rootfs/images/registry_config.h"
#include "rootfs/images/registry_mirror.h"
#include "rootfs/worker/http/auth_challenge.h"
#include "rootfs/worker/http/fetch_url.h"

namespace rundlet::rootfs {
namespace {

using ::testing::HasSubstr;

const std::string kHex(64, 'a');

TEST(Reference, FillsInWhatIsLeftOut) {
  struct Case {
    std::string text, registry, repository, tag;
  };
  for (const Case& c : std::vector<Case>{
           {"python", "docker.io", "library/python", "latest"},
           {"python:3.12-slim", "docker.io", "library/python", "3.12-slim"},
           {"team/app", "docker.io", "team/app", "latest"},
           {"docker.io/python", "docker.io", "library/python", "latest"},
           {"index.docker.io/library/python:3", "docker.io", "library/python", "3"},
           {"localhost/app", "localhost", "app", "latest"},
           {"localhost:5000/app:V_1", "localhost:5000", "app", "V_1"},
           {"Registry.Example/a/b__c/d-e.f:x", "registry.example", "a/b__c/d-e.f", "x"},
           {"127.0.0.1:80/a--b", "127.0.0.1:80", "a--b", "latest"}}) {
    const Reference reference = ParseReference(c.text);
    EXPECT_EQ(reference.registry, c.registry) << c.text;
    EXPECT_EQ(reference.repository, c.repository) << c.text;
    EXPECT_EQ(reference.tag, c.tag) << c.text;
    EXPECT_EQ(reference.digest, std::nullopt) << c.text;
  }
}

TEST(RegistryMirror, ServesTheRepositoriesOfItsRegistry) {
  const std::vector<RegistryMirror> mirrors =
      ParseMirrors(" docker.io=https://mirror.example/a/b/,quay.io=http://localhost:5000 ,");
  ASSERT_EQ(mirrors.size(), 2u);
  EXPECT_EQ(mirrors[0],
            (RegistryMirror{"docker.io", "mirror.example", "a/b/", RegistryTransport::kHttps}));
  EXPECT_EQ(mirrors[1],
            (RegistryMirror{"quay.io", "localhost:5000", "", RegistryTransport::kPlainHttp}));
  EXPECT_EQ(ShortName(AtMirror(ParseReference("python:3"), mirrors[0])),
            "mirror.example/a/b/library/python:3");
  EXPECT_TRUE(ParseMirrors("").empty());
}

TEST(RegistryMirror, RefusesWhatIsNone) {
  for (const char* text :
       {"docker.io", "=https://a.b", "docker.io=", "docker.io=ftp://a.b", "docker.io=https://",
        "docker.io=https://name", "docker.io=https://a.b:0", "docker.io=https://u@a.b",
        "docker.io=https://a.b/A", "docker.io=https://a.b/../c", "docker.io=https://a.b/c@d",
        "docker.io=https://a.b/c:d", "docker.io/x=https://a.b", "x=https://a.b"}) {
    EXPECT_THROW(ParseMirrors(text), base::Error) << text;
  }
}

TEST(Reference, TakesADigest) {
  const Reference pinned = ParseReference("python@sha256:" + kHex);
  EXPECT_EQ(pinned.tag, "");
  EXPECT_EQ(pinned.digest->hex(), kHex);
  const Reference both = ParseReference("python:3@sha256:" + kHex);
  EXPECT_EQ(both.tag, "3");
  EXPECT_EQ(both.digest->hex(), kHex);
}

TEST(Reference, HasAShortNameThatMeansTheSame) {
  for (const auto& [text, name] :
       std::map<std::string, std::string>{{"docker.io/library/python:3.12", "python:3.12"},
                                          {"python", "python:latest"},
                                          {"docker.io/team/app", "team/app:latest"},
                                          {"docker.io/library/a/b", "library/a/b:latest"},
                                          {"quay.io/library/a", "quay.io/library/a:latest"},
                                          {"python@sha256:" + kHex, "python@sha256:" + kHex}}) {
    EXPECT_EQ(ShortName(ParseReference(text)), name);
    EXPECT_EQ(ParseReference(name), ParseReference(text));
  }
}

TEST(Reference, KnowsThePublicRegistry) {
  EXPECT_EQ(ApiHost(ParseReference("python")), "registry-1.docker.io");
  EXPECT_EQ(ApiHost(ParseReference("quay.io/a")), "quay.io");
  EXPECT_EQ(CredentialServer(ParseReference("python")), "https://index.docker.io/v1/");
}

TEST(Reference, RefusesWhatIsNone) {
  for (const std::string& text : {std::string(),
                                  std::string("/"),
                                  std::string("a/"),
                                  std::string("/a"),
                                  std::string("a//b"),
                                  std::string("Python"),
                                  std::string("a b"),
                                  std::string("a_-b"),
                                  std::string("a..b"),
                                  std::string("-a"),
                                  std::string("a-"),
                                  std::string("a:"),
                                  std::string("a:-x"),
                                  std::string("a:x/y"),
                                  "a:" + std::string(129, 'x'),
                                  std::string("a@"),
                                  std::string("a@sha256:abc"),
                                  "a@sha512:" + kHex,
                                  "a@" + kHex,
                                  "a@sha256:" + kHex + "@x",
                                  std::string("host:0/a"),
                                  std::string("host:65536/a"),
                                  std::string("host:x/a"),
                                  std::string("-host.x/a"),
                                  std::string("ho_st.x/a"),
                                  std::string("user@host.x/a"),
                                  std::string("http://host.x/a"),
                                  std::string("a.b/../c"),
                                  std::string("a\0b", 3),
                                  std::string("a\nb"),
                                  std::string(300, 'a')}) {
    EXPECT_THROW(ParseReference(text), base::Error) << text;
  }
}

TEST(Platform, IsRead) {
  EXPECT_EQ(ParsePlatform("linux/amd64"), (Platform{"linux", "amd64", ""}));
  EXPECT_EQ(ParsePlatform("linux/arm/v7"), (Platform{"linux", "arm", "v7"}));
  for (const char* text : {"", "linux", "linux/", "/amd64", "a/b/c/d", "linux/AMD64", "a /b"}) {
    EXPECT_EQ(ParsePlatform(text), std::nullopt) << text;
  }
}

Descriptor ManifestFor(const std::string& what, std::optional<Platform> platform) {
  return {"application/vnd.oci.image.manifest.v1+json", base::Digest::Of(what), 1, platform, ""};
}

TEST(Platform, ChoosesFromARegistrysIndex) {
  const Index index{{ManifestFor("attestation", Platform{"unknown", "unknown", ""}),
                     ManifestFor("arm", Platform{"linux", "arm64", "v8"}),
                     ManifestFor("plain", Platform{"linux", "amd64", ""}),
                     ManifestFor("later", Platform{"linux", "amd64", ""}),
                     ManifestFor("v3", Platform{"linux", "amd64", "v3"})}};
  const auto chosen = [&](const Platform& platform) {
    return ChooseForPlatform(index, platform).digest;
  };
  EXPECT_EQ(chosen({"linux", "amd64", ""}), base::Digest::Of("plain"));
  EXPECT_EQ(chosen({"linux", "amd64", "v3"}), base::Digest::Of("v3"));
  EXPECT_EQ(chosen({"linux", "amd64", "v2"}), base::Digest::Of("plain"));
  EXPECT_THROW(chosen({"linux", "s390x", ""}), base::Error);
  EXPECT_THROW(ChooseForPlatform({}, HostPlatform()), base::Error);
  const Index unsaid{{ManifestFor("one", std::nullopt)}};
  EXPECT_EQ(ChooseForPlatform(unsaid, HostPlatform()).digest, base::Digest::Of("one"));
}

LoginSource Find(const std::string& text, const std::string& reference) {
  return FindLogin(text, "config.json", ParseReference(reference));
}

RegistryLogin Login(const std::string& text, const std::string& reference) {
  const LoginSource source = Find(text, reference);
  const auto* login = std::get_if<RegistryLogin>(&source);
  return login == nullptr ? RegistryLogin{} : *login;
}

TEST(RegistryConfig, FindsAnEntry) {
  // base64 of "user:pass:word"
  const std::string auth = R"({"auth": "dXNlcjpwYXNzOndvcmQ="})";
  for (const auto& [key, reference] :
       std::map<std::string, std::string>{{"https://index.docker.io/v1/", "python"},
                                          {"docker.io", "team/app"},
                                          {"localhost:5000", "localhost:5000/a"},
                                          {"https://quay.io", "quay.io/a/b"},
                                          {"quay.io/a", "quay.io/a/b"},
                                          {"quay.io/a/b", "quay.io/a/b"}}) {
    const RegistryLogin login = Login(R"({"auths": {")" + key + "\": " + auth + "}}", reference);
    EXPECT_EQ(login.user, "user") << key;
    EXPECT_EQ(login.password, "pass:word") << key;
  }
  for (const char* reference : {"quay.io/x", "localhost:5001/a", "quay.io/ab"}) {
    const std::string text =
        R"({"auths": {"localhost:5000": )" + auth + R"(, "quay.io/a": )" + auth + "}}";
    EXPECT_EQ(Login(text, reference).user, "") << reference;
  }
}

TEST(RegistryConfig, PrefersTheMostParticularEntry) {
  const std::string text =
      R"({"auths": {"quay.io": {"username": "all", "password": "1"},
                    "quay.io/a": {"username": "team", "password": "2"},
                    "other": {}}})";
  EXPECT_EQ(Login(text, "quay.io/a/b").user, "team");
  EXPECT_EQ(Login(text, "quay.io/b").user, "all");
}

TEST(RegistryConfig, NamesHelpers) {
  const std::string text =
      R"({"credHelpers": {"quay.io": "one"}, "credsStore": "all", "auths": {"quay.io": {}}})";
  EXPECT_EQ(std::get<CredentialHelper>(Find(text, "quay.io/a")).name, "one");
  EXPECT_EQ(std::get<CredentialHelper>(Find(text, "python")).name, "all");
  EXPECT_TRUE(std::holds_alternative<std::monostate>(Find("{}", "python")));
  for (const char* name : {"../x", "a b", "a/b"}) {
    EXPECT_THROW(Find(R"({"credsStore": ")" + std::string(name) + "\"}", "a"), base::Error);
  }
}

TEST(RegistryConfig, ReadsAHelpersAnswer) {
  const RegistryLogin login = ParseHelperAnswer(R"({"Username": "u", "Secret": "s"})", "x");
  EXPECT_EQ(login.user, "u");
  EXPECT_EQ(login.password, "s");
  const RegistryLogin token = ParseHelperAnswer(R"({"Username": "<token>", "Secret": "s"})", "x");
  EXPECT_EQ(token.identity_token, "s");
  EXPECT_EQ(token.user, "");
}

TEST(RegistryConfig, QuotesNoSecretInItsErrors) {
  for (const std::string text :
       {R"({"auths": {"a.b": {"auth": "s3cr3t!"}}})", R"({"auths": {"a.b": {"auth": "s3cr3t})",
        R"({"auths": {"a.b": {"username": 1, "password": "s3cr3t"}}})", "s3cr3t"}) {
    try {
      Find(text, "a.b/c");
      ADD_FAILURE() << text;
    } catch (const base::Error& error) {
      EXPECT_THAT(error.Render(), ::testing::Not(HasSubstr("s3cr3t")));
    }
  }
}

TEST(Challenge, IsRead) {
  using worker::ParseChallenges;
  const auto bearer = ParseChallenges(
      R"(Bearer realm="https://auth.example/token",service="reg \"x\"",scope="a,b")");
  ASSERT_EQ(bearer.size(), 1u);
  EXPECT_EQ(bearer[0].scheme, "bearer");
  EXPECT_EQ(bearer[0].parameters.at("realm"), "https://auth.example/token");
  EXPECT_EQ(bearer[0].parameters.at("service"), "reg \"x\"");
  EXPECT_EQ(bearer[0].parameters.at("scope"), "a,b");
  const auto two = ParseChallenges("Negotiate, BASIC Realm = x , charset=\"UTF-8\", Digest a=b");
  ASSERT_EQ(two.size(), 3u);
  EXPECT_EQ(two[1].scheme, "basic");
  EXPECT_EQ(two[1].parameters.at("realm"), "x");
  EXPECT_EQ(two[2].parameters.at("a"), "b");
  EXPECT_TRUE(ParseChallenges("").empty());
  EXPECT_TRUE(ParseChallenges("\"x").empty());
  EXPECT_TRUE(ParseChallenges("Bearer realm=\"x").empty());
  EXPECT_TRUE(ParseChallenges("Bearer realm=a, realm=b").empty());
}

TEST(Origin, IsSchemeHostAndPort) {
  using worker::IsSameOrigin;
  EXPECT_TRUE(IsSameOrigin("https://a.b/x", "https://A.b:443/y?z"));
  EXPECT_FALSE(IsSameOrigin("https://a.b/", "https://a.b:444/"));
  EXPECT_FALSE(IsSameOrigin("https://a.b/", "http://a.b/"));
  EXPECT_FALSE(IsSameOrigin("https://a.b/", "https://c.a.b/"));
  EXPECT_FALSE(IsSameOrigin("", ""));
}

}  // namespace
}  // namespace rundlet::rootfs
