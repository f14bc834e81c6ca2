#include "rootfs/requirements/lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "rootfs/requirements/resolver_protocol.h"
#include "rootfs/worker/wheels/parse_toml.h"
#include "why_refused.h"

namespace rundlet::rootfs {
namespace {

using ::testing::HasSubstr;
using testing::WhyRefused;

TEST(Requirements, EqualOnesInOtherSpellingsAreEqual) {
  EXPECT_EQ(ParseRequirement("Pandas").Text(), "pandas");
  EXPECT_EQ(ParseRequirement(" Fast_API [ Standard , all ]  (>=1.0 , < 2) ").Text(),
            "fast-api[all,standard]<2,>=1.0");
  EXPECT_EQ(ParseRequirement("a==1.*").Text(), "a==1.*");
  EXPECT_EQ(ParseRequirement("a===1.0+cu128").Text(), "a===1.0+cu128");
  EXPECT_EQ(ParseRequirement("a; sys_platform  ==\"win32\"").Text(), "a ; sys_platform =='win32'");
  EXPECT_EQ(ParseRequirement("zope.interface~=5.0"), ParseRequirement("Zope-Interface ~= 5.0"));
}

TEST(Requirements, WhatIsNoneIsRefusedBeforeAnyToolSeesIt) {
  for (const char* bad : {"",
                          "-e .",
                          "-r other.txt",
                          "--editable=.",
                          "a @ https://u:p@x/a-1-py3-none-any.whl",
                          "a @ https://x/a-1-py3-none-any.whl#md5=0",
                          "a @ https://x/a-1.tar.bz2",
                          "a[b @ https://x/a-1-py3-none-any.whl",
                          "./a-1.tar.gz",
                          "../a.whl",
                          "--index-url=https://evil.example",
                          "a @ file:///etc/passwd",
                          "a@https://x",
                          "./a",
                          "/etc",
                          "git+https://x/y",
                          "a\nb",
                          "a\n--index-url x",
                          "a b",
                          "a>=",
                          "a==1;",
                          "a[b",
                          "a[b c]",
                          "a==1 # comment",
                          "a;x=='1",
                          "a==1 --hash=sha256:00",
                          "a>1,,<2",
                          "a$",
                          "a==1\\",
                          "\xc3\xa9"}) {
    EXPECT_NE(WhyRefused([&] { ParseRequirement(bad); }), "") << bad;
  }
  EXPECT_NE(WhyRefused([] { ParseRequirement(std::string_view("a\0b", 3)); }), "");
}

TEST(Requirements, NameAWheelByUrlOrPath) {
  const std::string hash = base::Digest::Of("x").hex();
  const std::string url = "https://x.example/A_b-1.0-py3-none-any.whl";
  Requirement requirement =
      ParseRequirement("A.b[more] @ " + url + "#sha256=" + hash + " ; python_version>'3'");
  EXPECT_EQ(requirement.url, url);
  EXPECT_EQ(requirement.sha256, base::Digest::Of("x"));
  EXPECT_EQ(requirement.Text(), "a-b[more] @ " + url + "#sha256=" + hash + " ; python_version>'3'");
  EXPECT_EQ(ParseRequirement(requirement.Text()), requirement);
  requirement = ParseRequirement("./dist/A_b-1.0-py3-none-any.whl");
  EXPECT_EQ(requirement.name, "a-b");
  EXPECT_EQ(requirement.path, "./dist/A_b-1.0-py3-none-any.whl");
  EXPECT_EQ(ParseRequirement("a-b @ file:///dist/A_b-1.0-py3-none-any.whl").path,
            "/dist/A_b-1.0-py3-none-any.whl");
  // Once its content is known, where it was does not matter.
  requirement.sha256 = base::Digest::Of("x");
  EXPECT_EQ(requirement.Text(), "a-b @ sha256:" + hash);
}

TEST(Requirement, NamesASource) {
  const std::string archive = "https://i.example/a-1.0.tar.gz";
  EXPECT_TRUE(ParseRequirement("a @ " + archive).IsSource());
  EXPECT_FALSE(ParseRequirement("a @ https://i.example/a-1-py3-none-any.whl").IsSource());
  EXPECT_FALSE(ParseRequirement("a==1").IsSource());
  EXPECT_EQ(ParseGitUrl(archive), std::nullopt);
  for (const auto& [rest, revision] : std::initializer_list<std::pair<const char*, const char*>>{
           {"", "HEAD"}, {"@v1.0", "v1.0"}, {"@feature/x", "feature/x"}}) {
    const Requirement git =
        ParseRequirement(std::string("a @ git+https://h.example/o/r.git") + rest);
    EXPECT_TRUE(git.IsSource());
    EXPECT_EQ(ParseGitUrl(git.url)->url, "https://h.example/o/r.git");
    EXPECT_EQ(ParseGitUrl(git.url)->revision, revision);
    EXPECT_EQ(git.Text(), "a @ git+https://h.example/o/r.git" + std::string(rest));
  }
  for (const char* bad :
       {"a @ git+http://h.example/r", "a @ git+ssh://git@h.example/r", "a @ git+file:///r",
        "a @ git+https://user:word@h.example/r", "a @ git+https://h.example/r@--upload-pack=x",
        "a @ git+https://h.example/r@a..b", "a @ git+https://h.example/r@a:b",
        "a @ git+https://h.example/r@v1#subdirectory=b", "a @ hg+https://h.example/r",
        "a @ https://h.example/a.tar.bz2", "a @ file:///a-1.0.tar.gz", "./a-1.0.tar.gz"}) {
    EXPECT_NE(WhyRefused([&] { ParseRequirement(bad); }), "") << bad;
  }
}

LockInputs Inputs(std::vector<std::string> texts) {
  LockInputs inputs{ParseRequirements(texts), {}, "x86_64", "https://index.example/simple"};
  inputs.interpreter = base::Digest::Of("interpreter");
  return inputs;
}

TEST(LockKey, OrderSpellingAndRepetitionDoNotMatter) {
  const base::Digest key = LockInputsKey(Inputs({"pandas >= 2", "six"}));
  EXPECT_EQ(key, LockInputsKey(Inputs({"Six", "Pandas>=2", "six"})));
  EXPECT_NE(key, LockInputsKey(Inputs({"pandas>=2.1", "six"})));
  LockInputs other = Inputs({"pandas>=2", "six"});
  other.index = "https://other.example/simple";
  EXPECT_NE(key, LockInputsKey(other));
  other = Inputs({"pandas>=2", "six"});
  other.interpreter = base::Digest::Of("another");
  EXPECT_NE(key, LockInputsKey(other));
  other = Inputs({"pandas>=2", "six"});
  other.set.constraints = {ParseRequirement("six<2")};
  EXPECT_NE(key, LockInputsKey(other));
  other = Inputs({"pandas>=2", "six"});
  other.set.hashes = {base::Digest::Of("x")};
  EXPECT_NE(key, LockInputsKey(other));
  other = Inputs({"pandas>=2", "six"});
  other.set.closed = true;
  EXPECT_NE(key, LockInputsKey(other));
  other = Inputs({"pandas>=2", "six"});
  other.set.indexes = {{"own", "https://own.example/simple", {"six"}}};
  EXPECT_NE(key, LockInputsKey(other));
  other = Inputs({"pandas>=2", "six"});
  other.set.uploaded_before = "2026-01-31T00:00:00Z";
  EXPECT_NE(key, LockInputsKey(other));
  other = Inputs({"pandas>=2", "six"});
  other.realms = {base::Digest::Of("realm")};
  EXPECT_NE(key, LockInputsKey(other));
  // Whose files win is no matter of which packages there are.
  other = Inputs({"pandas>=2", "six"});
  other.set.preferred = {"six"};
  EXPECT_EQ(key, LockInputsKey(other));
}

TEST(LockKey, IsPinned) {
  EXPECT_EQ(LockInputsKey(Inputs({"pandas>=2", "six"})).hex(),
            "9014df8e77403c3f16a11caa2dbb7172d61581aa647e8df78bbbb5a0c8a2721f");
}

Lock SmallLock() {
  return {
      {{"six", "1.17.0", "six-1.17.0-py2.py3-none-any.whl",
        "https://index.example/six-1.17.0-py2.py3-none-any.whl", 11050, base::Digest::Of("six")}},
      1'700'000'000,
      {"`six==1.17.0` is yanked"}};
}

TEST(LockCodec, RoundTrip) {
  Lock lock = SmallLock();
  EXPECT_EQ(DecodeLock(EncodeLock(lock)), lock);
  lock.distributions[0].realm = Realm{"https://own.example/simple", base::Digest::Of("realm")};
  EXPECT_EQ(DecodeLock(EncodeLock(lock)), lock);
  lock.distributions[0].source = Source{.kind = Source::Kind::kGit,
                                        .filename = "source.tar",
                                        .url = "https://code.example/six",
                                        .commit = std::string(40, 'a'),
                                        .size = 5,
                                        .sha256 = base::Digest::Of("source")};
  EXPECT_EQ(DecodeLock(EncodeLock(lock)), lock);
  EXPECT_EQ(DecodeLock(EncodeLock({})), Lock());
}

TEST(LockCodec, RefusesWhatItDidNotWrite) {
  const auto changed = [](const auto& change) {
    nlohmann::json document = nlohmann::json::parse(EncodeLock(SmallLock()));
    change(document);
    return WhyRefused([&] { DecodeLock(document.dump()); });
  };
  EXPECT_EQ(changed([](auto&) {}), "");
  EXPECT_NE(changed([](auto& lock) { lock["version"] = 1; }), "");
  EXPECT_NE(changed([](auto& lock) { lock["extra"] = 1; }), "");
  EXPECT_NE(changed([](auto& lock) { lock["distributions"].push_back(lock["distributions"][0]); }),
            "");
  EXPECT_NE(changed([](auto& lock) { lock["distributions"][0]["sha256"] = "00"; }), "");
  EXPECT_NE(changed([](auto& lock) { lock["distributions"][0]["name"] = "Six"; }), "");
  EXPECT_NE(changed([](auto& lock) { lock["distributions"][0]["url"] = "file:///etc/passwd"; }),
            "");
  EXPECT_NE(
      changed([](auto& lock) { lock["distributions"][0]["url"] = "https://u:p@index.example/x"; }),
      "");
  EXPECT_NE(changed([](auto& lock) {
              lock["distributions"][0]["filename"] = "../six-1.17.0-py3-none-any.whl";
            }),
            "");
  EXPECT_NE(changed([](auto& lock) { lock["distributions"][0]["version"] = "1.16.0"; }), "");
  const auto with_source = [&](const char* key, const nlohmann::json& value) {
    return changed([&](auto& lock) {
      lock["distributions"][0]["source"] = {{"kind", "index"},
                                            {"filename", "six-1.17.0.tar.gz"},
                                            {"url", "https://index.example/six-1.17.0.tar.gz"},
                                            {"commit", ""},
                                            {"size", 3},
                                            {"sha256", base::Digest::Of("source").hex()}};
      lock["distributions"][0]["source"][key] = value;
    });
  };
  EXPECT_EQ(with_source("kind", "url"), "");
  EXPECT_NE(with_source("kind", "other"), "");
  EXPECT_NE(with_source("kind", "git"), "");
  EXPECT_NE(with_source("commit", std::string(40, 'a')), "");
  EXPECT_NE(with_source("filename", "../six-1.17.0.tar.gz"), "");
  EXPECT_NE(with_source("filename", "six.sh"), "");
  EXPECT_NE(with_source("url", "file:///etc/passwd"), "");
  EXPECT_NE(with_source("sha256", "00"), "");
  EXPECT_NE(with_source("more", 1), "");
  EXPECT_NE(WhyRefused([] { DecodeLock("{"); }), "");
}

constexpr const char* kHead = "lock-version = \"1.0\"\ncreated-by = \"uv\"\n";

Lock ReadPylock(const std::string& packages, const WheelChoice& choice = {}) {
  return ReadLockDocument(worker::TomlToJson(kHead + packages).dump(), choice);
}

std::string Package(const std::string& name, const std::string& version, const std::string& url,
                    const std::string& more) {
  return "[[packages]]\nname = \"" + name + "\"\nversion = \"" + version +
         "\"\nwheels = [{ url = \"" + url + "\"" + more + " }]\n";
}

const std::string kHash =
    ", size = 3, hashes = { sha256 = \"" + base::Digest::Of("x").hex() + "\" }";

TEST(Pylock, ReadsWhatUvWrites) {
  const Lock lock = ReadPylock(
      Package("torch", "2.1+cu121",
              "https://i.example/torch-2.1%2Bcu121-cp311-cp311-linux_x86_64.whl", kHash) +
      Package("python-dateutil", "2.9.0.post0",
              "http://i.example/python_dateutil-2.9.0.post0-py3-none-any.whl",
              ", hashes = { sha256 = \"" + base::Digest::Of("x").hex() + "\" }"));
  ASSERT_EQ(lock.distributions.size(), 2u);
  EXPECT_EQ(lock.distributions[0].name, "python-dateutil");
  EXPECT_EQ(lock.distributions[0].size, 0u);
  EXPECT_EQ(lock.distributions[1].filename, "torch-2.1+cu121-cp311-cp311-linux_x86_64.whl");
  EXPECT_EQ(lock.distributions[1].size, 3u);
  EXPECT_TRUE(ReadPylock("packages = []\n").distributions.empty());
}

TEST(Pylock, RefusesWhatCannotBeInstalledWithCertainty) {
  const auto why = [](const std::string& text) { return WhyRefused([&] { ReadPylock(text); }); };
  const std::string url = "https://i.example/a-1-py3-none-any.whl";
  EXPECT_THAT(why(Package("a", "1", url, "")), HasSubstr("gives no sha256"));
  EXPECT_THAT(why(Package("a", "1", "file:///a-1-py3-none-any.whl", kHash)),
              HasSubstr("not a plain http"));
  EXPECT_THAT(why(Package("b", "1", url, kHash)), HasSubstr("of another project"));
  EXPECT_THAT(why(Package("a", "2", url, kHash)), HasSubstr("of another version"));
  EXPECT_THAT(why(Package("a", "1", url, kHash) + Package("a", "1", url, kHash)),
              HasSubstr("twice"));
  EXPECT_EQ(
      why("[[packages]]\nname = \"docopt\"\nversion = \"0.6.2\"\nsdist = { url = \"https://x/y\" "
          "}\n"),
      "error: locking `docopt`\ncaused by: no wheel fits this image; only an sdist is offered\n"
      "hint: require a version that has a wheel");
  EXPECT_THAT(why("[[packages]]\nname = \"a\"\nvcs = { url = \"https://x\" }\n"),
              HasSubstr("it comes from a vcs"));
  EXPECT_NE(WhyRefused([] { ReadLockDocument("{\"data\": {\"lock-version\": \"2.0\"}}", {}); }),
            "");
  EXPECT_NE(WhyRefused([] { ReadLockDocument("[]", {}); }), "");
}

TEST(Pylock, HoldsWheelsToTheirHashes) {
  const std::string url = "https://i.example/a-1-py3-none-any.whl";
  const std::string package = Package("a", "1", url, kHash);
  EXPECT_EQ(ReadPylock(package, {.hashes = {base::Digest::Of("x")}}).distributions.size(), 1u);
  EXPECT_THAT(WhyRefused([&] { ReadPylock(package, {.hashes = {base::Digest::Of("y")}}); }),
              HasSubstr("none of its wheels for this image has one of the given hashes"));
}

TEST(Pylock, TakesArchivesThatWereNamedOnly) {
  Distribution named{"a", "1", "a-1-py3-none-any.whl", "", 1, base::Digest::Of("x")};
  const auto archive = [](const std::string& content) {
    return "[[packages]]\nname = \"a\"\nversion = \"1\"\narchive = { path = \"/a.whl\", hashes = { "
           "sha256 = \"" +
           base::Digest::Of(content).hex() + "\" } }\n";
  };
  EXPECT_EQ(ReadPylock(archive("x"), {.named = {named}}).distributions.at(0), named);
  EXPECT_THAT(WhyRefused([&] { ReadPylock(archive("y"), {.named = {named}}); }),
              HasSubstr("nobody asked for"));
  named.name = "b";
  EXPECT_NE(WhyRefused([&] { ReadPylock(archive("x"), {.named = {named}}); }), "");
}

TEST(ResolveCommands, CarryNothingOfTheHost) {
  const ResolveCommand command = MakeResolveCommand({.set = ParseRequirements({"b", "A>1"}),
                                                     .python = "/usr/local/bin/python3.11",
                                                     .index = "https://index.example/simple"});
  EXPECT_EQ(command.input, "b\na>1\n");
  EXPECT_EQ(command.argv.front(), "/env/bin/uv");
  EXPECT_TRUE(std::find(command.argv.begin(), command.argv.end(), "--no-config") !=
              command.argv.end());
  EXPECT_NE(WhyRefused([] { MakeResolveCommand({.index = "https://user:secret@index.example/"}); }),
            "");
  EXPECT_NE(WhyRefused([] { MakeResolveCommand({.index = "file:///srv"}); }), "");
}

TEST(ResolveCommands, NamedWheelsAreFilesInside) {
  const base::Digest digest = base::Digest::Of("x");
  ResolveRequest request{
      .set = ParseRequirements({"a[b] @ https://x.example/a-1-py3-none-any.whl ; "
                                "python_version>'3'"}),
      .wheels = {{digest, "/rundlet/wheels/0/a-1-py3-none-any.whl"}},
      .index = "https://index.example/simple"};
  request.set.requirements[0].sha256 = digest;
  request.set.constraints = {ParseRequirement("c<2")};
  request.set.closed = true;
  const ResolveCommand command = MakeResolveCommand(request);
  EXPECT_EQ(command.input,
            "a[b] @ file:///rundlet/wheels/0/a-1-py3-none-any.whl ; python_version>'3'\n");
  EXPECT_EQ(command.files.at("constraints.txt"), "c<2\n");
  EXPECT_EQ(command.argv.back(), "--no-deps");
}

TEST(ResolveCommands, PinnedPackagesAreAskedForWithTheirSource) {
  ResolveRequest request{.set = ParseRequirements({"b<2 ; os_name=='nt'", "c"}),
                         .index = "https://index.example/simple",
                         .pinned = {"d"}};
  request.set.indexes = CheckIndexes({{"Own", "https://own.example/simple/", {"D", "b", "d"}}});
  EXPECT_EQ(MakeResolveCommand(request).files.at("pyproject.toml"),
            "[project]\nname = \"your-requirements\"\nversion = \"0\"\n"
            "dependencies = [\"b<2 ; os_name=='nt'\", \"d\", ]\n"
            "[tool.uv.sources]\n\"b\" = { index = \"own\" }\n\"d\" = { index = \"own\" }\n"
            "[[tool.uv.index]]\nname = \"own\"\nurl = \"https://own.example/simple\"\n"
            "explicit = true\n");
}

TEST(ResolveCommands, PinnedPackagesThatComeAlongAreFound) {
  RequirementSet set;
  set.indexes = CheckIndexes({{"own", "https://own.example/simple", {"d", "e"}}});
  Lock lock;
  for (const char* name : {"c", "d"}) {
    lock.distributions.emplace_back();
    lock.distributions.back().name = name;
  }
  EXPECT_THAT(PinnedAmong(set, lock), ::testing::ElementsAre("d"));
  const std::string talk =
      "error: No solution found\n  cause: Because e was not found in the "
      "package registry and all versions of c depend on e, ...\n";
  EXPECT_THAT(PinnedAmong(set, talk), ::testing::ElementsAre("e"));
  EXPECT_TRUE(PinnedAmong({}, talk).empty());
  EXPECT_THAT(PinnedAmong(set,
                          "error: No solution\n  cause: only e==9 is there and c depends on "
                          "d-x, x.d and e<2"),
              ::testing::ElementsAre("e"));
  // A wheel that is named itself comes from no index.
  set.requirements = {ParseRequirement("d")};
  set.requirements[0].sha256 = base::Digest::Of("x");
  EXPECT_TRUE(PinnedAmong(set, lock).empty());
}

TEST(Indexes, AreCheckedAndOrdered) {
  const std::vector<PinnedIndex> two =
      CheckIndexes({{"b", "https://b.example/", {"Y_y"}}, {"a", "http://a.example/simple", {"x"}}});
  EXPECT_EQ(two[0].name, "a");
  EXPECT_EQ(two[1].url, "https://b.example");
  EXPECT_THAT(two[1].packages, ::testing::ElementsAre("y-y"));
  for (const PinnedIndex& bad :
       {PinnedIndex{"a b", "https://b.example", {"x"}}, PinnedIndex{"a", "file:///srv", {"x"}},
        PinnedIndex{"a", "https://u:p@b.example", {"x"}},
        PinnedIndex{"a", "https://b.example", {"x\"]"}}}) {
    EXPECT_NE(WhyRefused([&] { CheckIndexes({bad}); }), "") << bad.name;
  }
  EXPECT_NE(WhyRefused([&] { CheckIndexes({two[0], two[0]}); }), "");
}

TEST(Moments, AreDaysOrSeconds) {
  EXPECT_EQ(ParseMoment("2026-01-31"), "2026-01-31T00:00:00Z");
  EXPECT_EQ(ParseMoment("2026-01-31T12:00:00Z"), "2026-01-31T12:00:00Z");
  for (const char* bad : {"", "2026-1-31", "3 days", "2026-01-31T12:00:00+01:00", "2026-01-31 "})
    EXPECT_NE(WhyRefused([&] { ParseMoment(bad); }), "") << bad;
}

TEST(ResolveWarnings, AreThoseOnYankedReleases) {
  EXPECT_THAT(ReadResolveWarnings("Resolved 2 packages in 3ms\nwarning: something else\n"
                                  "warning: `a==1.0` is yanked (reason: \"broken\")\n"),
              ::testing::ElementsAre("`a==1.0` is yanked (reason: \"broken\")"));
}

// As uv 0.13.9 writes them.
TEST(ResolveFailures, AreExplained) {
  EXPECT_EQ(
      ExplainResolveFailure("error: No solution found when resolving dependencies\n  cause: "
                            "Because foo was not found in the "
                            "package registry and you require foo, we can conclude that your "
                            "requirements are unsatisfiable.\n")
          .Render(),
      "error: resolving the requirements\ncaused by: `foo` was not found in the package index\n"
      "hint: check the spelling of its name\n");
  EXPECT_EQ(ExplainResolveFailure("error: No solution found when resolving dependencies\n  cause: "
                                  "Because a==2 depends on b>=1 and you "
                                  "require a==2, we can conclude that you require b>=1.\n         "
                                  "And because you require b<1, we can "
                                  "conclude that your requirements are unsatisfiable.\n")
                .Render(),
            "error: resolving the requirements\ncaused by: because a==2 depends on b>=1 and you "
            "require a==2, we can "
            "conclude that you require b>=1. And because you require b<1, we can conclude that "
            "your requirements are "
            "unsatisfiable\n");
  const base::Error offline = ExplainResolveFailure(
      "error: Request failed after 3 retries in 11.3s\n  cause: Failed to fetch: "
      "http://127.0.0.1:1/simple/six/\n"
      "  cause: client error (Connect)\n  cause: Connection refused (os error 111)\n");
  EXPECT_EQ(offline.fault(), base::Fault::kHost);
  EXPECT_THAT(offline.Render(),
              HasSubstr("caused by: connection refused (os error 111)\nhint: check the network"));
  EXPECT_THAT(
      ExplainResolveFailure(
          "error: No solution found\n  cause: Because all versions of docopt have no usable "
          "wheels and you require docopt, x.\n\nhint: Wheels are required for `docopt`\n")
          .Render(),
      HasSubstr("hint: only wheels are installed"));
  EXPECT_EQ(ExplainResolveFailure("\x1b[31m").Render(),
            "error: resolving the requirements\ncaused by: the resolver failed and said nothing\n");
}

// Answers are kept: with each change here goes another kAnswer in src/engine/core/toml.cc.
TEST(Toml, BecomesJsonWithLines) {
  EXPECT_EQ(worker::TomlToJson("a = 1\n[b.c]\nd = [1.5, \"x\"]\ne = 2020-01-02T03:04:05Z\n").dump(),
            R"({"data":{"a":1,"b":{"c":{"d":[1.5,"x"],"e":"2020-01-02T03:04:05Z"}}},)"
            R"("lines":{"a":1,"b":2,"b.c":2,"b.c.d":3,"b.c.d[0]":3,"b.c.d[1]":3,"b.c.e":4}})");
  EXPECT_THAT(WhyRefused([] { worker::TomlToJson("a = 1\nb = = 2\n"); }), HasSubstr("at line 2"));
  EXPECT_NE(WhyRefused([] { worker::TomlToJson("a = nan\n"); }), "");
  EXPECT_NE(WhyRefused([] { worker::TomlToJson("a = " + std::string(5000, '[') + "\n"); }), "");
}

}  // namespace
}  // namespace rundlet::rootfs
