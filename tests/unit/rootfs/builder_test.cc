// What a source archive says about its build, and what a built wheel depends on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "base/fs.h"
#include "rootfs/requirements/builder_protocol.h"

namespace rundlet::rootfs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string WhyNoBuildSystem(const std::string& table) {
  try {
    ReadBuildSystem(R"({"data": {"build-system": )" + table + "}}");
  } catch (const base::Error& error) {
    return error.Render();
  }
  return {};
}

TEST(BuildSystems, AreReadOrStoodInFor) {
  for (const char* text : {"", "{}", "[]", R"({"data": {}})", R"({"data": {"project": {}}})"}) {
    const BuildSystem system = ReadBuildSystem(text);
    EXPECT_THAT(system.required, ElementsAre("setuptools>=40.8.0")) << text;
    EXPECT_EQ(system.backend, "setuptools.build_meta:__legacy__") << text;
    EXPECT_THAT(system.path, IsEmpty()) << text;
  }
  const BuildSystem own = ReadBuildSystem(
      R"({"data": {"build-system": {"requires": ["a>1"], "build-backend": "b.c:d_e",
                                    "backend-path": ["x"]}}})");
  EXPECT_THAT(own.required, ElementsAre("a>1"));
  EXPECT_EQ(own.backend, "b.c:d_e");
  EXPECT_THAT(own.path, ElementsAre("x"));
  // PEP 518: without a backend, setuptools' old one, with what is required and nothing else.
  const BuildSystem bare = ReadBuildSystem(R"({"data": {"build-system": {"requires": []}}})");
  EXPECT_THAT(bare.required, IsEmpty());
  EXPECT_EQ(bare.backend, "setuptools.build_meta:__legacy__");
}

TEST(BuildSystems, AreRefused) {
  EXPECT_THAT(WhyNoBuildSystem("[]"), HasSubstr("it is no table"));
  EXPECT_THAT(WhyNoBuildSystem(R"({"requires": "a"})"), HasSubstr("`requires` is no list"));
  EXPECT_THAT(WhyNoBuildSystem(R"({"requires": [1]})"), HasSubstr("holds what is no text"));
  EXPECT_THAT(WhyNoBuildSystem(R"({"backend-path": {}})"), HasSubstr("`backend-path` is no list"));
  EXPECT_THAT(WhyNoBuildSystem(R"({"build-backend": 1})"), HasSubstr("is no text"));
  for (const char* backend : {"a b", "a;b", "a/b", "__import__('os')"}) {
    EXPECT_THAT(WhyNoBuildSystem(fmt::format(R"({{"build-backend": "{}"}})", backend)),
                HasSubstr("not the name of a Python object"));
  }
  std::string many = R"({"requires": ["a")";
  for (int i = 0; i < 200; ++i) many += R"(, "a")";
  EXPECT_THAT(WhyNoBuildSystem(many + "]}"), HasSubstr("too long"));
}

TEST(BuildRequirements, ComeFromIndexesOnly) {
  EXPECT_EQ(BuildRequirements({"a>1", "b"}).requirements.size(), 2u);
  for (const char* text : {"a @ https://x.example/a-1-py3-none-any.whl", "./a-1-py3-none-any.whl"})
    EXPECT_THROW(BuildRequirements({text}), base::Error) << text;
}

TEST(BuildKeys, DependOnAllThatAWheelIsMadeOf) {
  SourceArchive archive{.name = "a", .version = "1"};
  Lock lock;
  lock.distributions.resize(1);
  lock.distributions[0].name = "b";
  Interpreter interpreter;
  interpreter.identity = base::Digest::Of("python");
  const base::Digest image = base::Digest::Of("image");
  std::set<base::Digest> keys = {BuildKey(archive, lock, interpreter, image, "x86_64")};
  const auto is_new = [&](const base::Digest& key) { return keys.insert(key).second; };
  EXPECT_FALSE(is_new(BuildKey(archive, lock, interpreter, image, "x86_64")));
  EXPECT_TRUE(is_new(BuildKey(archive, lock, interpreter, image, "aarch64")));
  EXPECT_TRUE(is_new(BuildKey(archive, lock, interpreter, base::Digest::Of("other"), "x86_64")));
  EXPECT_TRUE(is_new(BuildKey(archive, {}, interpreter, image, "x86_64")));
  Lock other = lock;
  other.distributions[0].sha256 = base::Digest::Of("evil");
  EXPECT_TRUE(is_new(BuildKey(archive, other, interpreter, image, "x86_64")));
  other = lock;
  other.distributions[0].realm = Realm{"https://own.example", base::Digest::Of("realm")};
  EXPECT_TRUE(is_new(BuildKey(archive, other, interpreter, image, "x86_64")));
  interpreter.identity = base::Digest::Of("doctored");
  EXPECT_TRUE(is_new(BuildKey(archive, lock, interpreter, image, "x86_64")));
  archive.name = "other";
  EXPECT_TRUE(is_new(BuildKey(archive, lock, interpreter, image, "x86_64")));
  archive.realm = Realm{"https://own.example", base::Digest::Of("realm")};
  EXPECT_TRUE(is_new(BuildKey(archive, lock, interpreter, image, "x86_64")));
  archive.source.sha256 = base::Digest::Of("altered");
  EXPECT_TRUE(is_new(BuildKey(archive, lock, interpreter, image, "x86_64")));
}

std::string WhyNoAnswer(const std::vector<std::string>& lines) {
  const SourceArchive archive = {.name = "one", .version = "1.0"};
  BuildAnswer answer(archive);
  for (const std::string& line : lines) answer.AddLine(line);
  try {
    answer.Check();
    answer.required();
  } catch (const base::Error& error) {
    return error.Render();
  }
  return {};
}

TEST(BuildAnswers, AreALineOfJsonAndAWheel) {
  const SourceArchive archive = {.name = "one", .version = "1.0"};
  BuildAnswer answer(archive);
  for (const char* line : {R"({"wheel": "one-1.0-py3-none-any.whl"})", "YWJj", "ZGVm"})
    answer.AddLine(line);
  answer.Check();
  EXPECT_EQ(answer.filename(), "one-1.0-py3-none-any.whl");
  EXPECT_EQ(answer.wheel(), "abcdef");
}

TEST(BuildAnswers, AreRefused) {
  for (const std::string& line : {std::string("[]"), std::string("{"), std::string(100'000, '[')})
    EXPECT_THAT(WhyNoAnswer({line}), HasSubstr("it gave no answer")) << line.substr(0, 9);
  EXPECT_THAT(WhyNoAnswer({}), HasSubstr("building `one 1.0` from its source archive"));
  EXPECT_THAT(WhyNoAnswer({}), HasSubstr("it gave no answer"));
  for (const char* line : {"{}", R"({"requires": "a"})", R"({"requires": [1]})"})
    EXPECT_THAT(WhyNoAnswer({line}), HasSubstr("its answer is malformed")) << line;
  EXPECT_EQ(WhyNoAnswer({R"({"requires": ["a"]})"}), "");
}

}  // namespace
}  // namespace rundlet::rootfs
