// Requirements in files of pip and of other tools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "rootfs/requirements/project_documents.h"
#include "rootfs/requirements/requirements_text.h"
#include "rootfs/worker/wheels/parse_toml.h"

namespace rundlet::rootfs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename Function>
std::string Refusal(Function&& function) {
  try {
    function();
  } catch (const base::Error& error) {
    return error.Render();
  }
  return "";
}

const std::string kA = base::Digest::Of("a").hex();
const std::string kB = base::Digest::Of("b").hex();

TEST(RequirementsText, IsTakenApart) {
  const RequirementsText text = ParseRequirementsText(
      "# all of it\r\n"
      "a==1 \\\n    --hash=sha256:" +
      kA + " \\\n    --hash=sha256:" + kB +
      "\n\n"
      "b @ https://x/b-1-py3-none-any.whl#sha256=" +
      kB + " --hash=sha256:" + kB +
      "  # why\n"
      "--require-hashes\n--only-binary :all:\n"
      "-r more.txt\n-rmore2.txt\n--requirement=more3.txt\n-c bounds.txt\n--constraint bounds2.txt");
  EXPECT_THAT(text.requirements,
              ElementsAre("a==1", "b @ https://x/b-1-py3-none-any.whl#sha256=" + kB));
  EXPECT_EQ(text.hashes.size(), 3u);
  EXPECT_THAT(text.includes, ElementsAre("more.txt", "more2.txt", "more3.txt"));
  EXPECT_THAT(text.constraints, ElementsAre("bounds.txt", "bounds2.txt"));
}

TEST(RequirementsText, HashesAreForAllOrForNone) {
  EXPECT_THAT(Refusal([] { ParseRequirementsText("a==1 --hash=sha256:" + kA + "\nb==1\n"); }),
              HasSubstr("error: reading `b==1` in line 2\ncaused by: it has no --hash"));
  EXPECT_THAT(Refusal([] { ParseRequirementsText("a==1 --hash=md5:00\n"); }), HasSubstr("--hash"));
}

TEST(RequirementsText, AProjectChoosesNoIndex) {
  for (const char* line : {"-i https://x", "--index-url=https://x", "--extra-index-url https://x",
                           "-f https://x", "--find-links=x", "--trusted-host x", "--no-index"}) {
    EXPECT_THAT(Refusal([&] { ParseRequirementsText(line); }), HasSubstr("does not choose"))
        << line;
  }
  EXPECT_THAT(Refusal([] { ParseRequirementsText("-e ."); }), HasSubstr("editable"));
  EXPECT_THAT(Refusal([] { ParseRequirementsText("--pre"); }), HasSubstr("not known"));
}

TEST(ScriptMetadata, IsFound) {
  EXPECT_EQ(FindScriptMetadata("#!/x\n# /// script\n# a = 1\n#\n# b = 2\n# ///\nimport x\n"),
            "a = 1\n\nb = 2\n");
  EXPECT_EQ(FindScriptMetadata("import x\n# /// other\n# ///\n"), std::nullopt);
  EXPECT_NE(Refusal([] { FindScriptMetadata("# /// script\n# a = 1\nimport x\n"); }), "");
  EXPECT_NE(Refusal([] { FindScriptMetadata("# /// script\n# ///\n# /// script\n# ///\n"); }), "");
}

std::string Document(const std::string& toml) { return worker::TomlToJson(toml).dump(); }

TEST(ScriptMetadata, IsRead) {
  const ScriptMetadata metadata =
      ReadScriptMetadata(Document("requires-python = '>=3.9'\ndependencies = ['six']\n"));
  EXPECT_THAT(metadata.dependencies, ElementsAre("six"));
  EXPECT_EQ(metadata.requires_python, ">=3.9");
  EXPECT_NE(Refusal([] { ReadScriptMetadata(Document("dependencies = 'six'\n")); }), "");
  EXPECT_NE(Refusal([] { ReadScriptMetadata(Document("requires-python = 3\n")); }), "");
}

TEST(RequiresPython, IsHeldAgainstAVersion) {
  for (const char* yes : {"", ">=3.9", ">=3.11,<3.12", "==3.11.*", "~=3.9", "~=3.11.0", "!=3.10.*",
                          ">3.11.1", "<=3.11.2", "==3.11.2", " >= 3.11 , ", "<4"}) {
    EXPECT_TRUE(PythonIsWithin("3.11.2", yes)) << yes;
  }
  for (const char* no : {">=3.12", "<3.11", "==3.10.*", "~=3.12", "~=3.10.0", "!=3.11.*", ">3.11.2",
                         "==3.11", ">=3,<3.11"}) {
    EXPECT_FALSE(PythonIsWithin("3.11.2", no)) << no;
  }
  for (const char* bad : {"3.11", "=3.11", ">=", ">=x", ">=3.*", "~=3"}) {
    EXPECT_NE(Refusal([&] { PythonIsWithin("3.11.2", bad); }), "") << bad;
  }
}

TEST(DependencyGroups, IncludeEachOther) {
  const std::string document = Document(
      "[project]\ndependencies = ['p']\n[dependency-groups]\nA_b = ['a', {include-group = 'c'}]\n"
      "c = ['c']\nloop = [{include-group = 'loop'}]\nbad = [1]\n");
  EXPECT_THAT(ReadDependencies(document, ""), ElementsAre("p"));
  EXPECT_THAT(ReadDependencies(document, "a-B"), ElementsAre("a", "c"));
  for (const char* group : {"absent", "loop", "bad"}) {
    EXPECT_NE(Refusal([&] { ReadDependencies(document, group); }), "") << group;
  }
}

TEST(PylockDocument, BecomesRequirementsWithHashes) {
  const RequirementSet set = ReadPylock(
      Document("lock-version = '1.0'\n"
               "[[packages]]\nname = 'A.b'\nversion = '1.0'\nmarker = \"python_version > '3'\"\n"
               "wheels = [{url = 'https://x/y.whl', hashes = {sha256 = '" +
               kA +
               "'}},"
               " {name = 'z.whl', hashes = {sha256 = '" +
               kB +
               "'}}]\n"
               "[[packages]]\nname = 'c'\n"
               "archive = {url = 'https://x/c-1-py3-none-any.whl', hashes = {sha256 = '" +
               kB + "'}}\n"));
  EXPECT_TRUE(set.closed);
  EXPECT_EQ(set.hashes.size(), 3u);
  ASSERT_EQ(set.requirements.size(), 2u);
  EXPECT_EQ(set.requirements[0].Text(), "a-b==1.0 ; python_version > '3'");
  EXPECT_EQ(set.requirements[1].Text(), "c @ https://x/c-1-py3-none-any.whl#sha256=" + kB);
}

TEST(PylockDocument, SourcesOfBuiltPackages) {
  const RequirementSet set =
      ReadPylock(Document("lock-version = '1.0'\n"
                          "[[packages]]\nname = 'a'\nversion = '1.0'\n"
                          "sdist = {url = 'https://x/a-1.0.tar.gz', hashes = {sha256 = '" +
                          kA +
                          "'}}\n"
                          "[[packages]]\nname = 'b'\n"
                          "vcs = {type = 'git', url = 'https://x/b.git', commit-id = '" +
                          std::string(40, 'c') + "'}\n"));
  EXPECT_EQ(set.hashes.size(), 1u);
  ASSERT_EQ(set.requirements.size(), 2u);
  EXPECT_EQ(set.requirements[0].Text(), "a==1.0");
  EXPECT_EQ(set.requirements[1].Text(), "b @ git+https://x/b.git@" + std::string(40, 'c'));
  EXPECT_TRUE(set.requirements[1].IsSource());
  const std::string head = "lock-version = '1.0'\n[[packages]]\nname = 'a'\n";
  const std::string commit = "commit-id = '" + std::string(40, 'c') + "'";
  for (const std::string& bad :
       {head + "vcs = {type = 'hg', url = 'https://x/b', " + commit + "}\n",
        head + "vcs = {type = 'git', url = 'https://x/b', commit-id = 'main'}\n",
        head + "vcs = {type = 'git', url = 'ssh://x/b', " + commit + "}\n",
        head + "vcs = {type = 'git', url = 'https://x/b', subdirectory = 'c', " + commit + "}\n"}) {
    EXPECT_NE(Refusal([&] { ReadPylock(Document(bad)); }), "") << bad;
  }
}

TEST(PylockDocument, RefusesWhatCannotBeHeldToAHash) {
  const std::string head = "lock-version = '1.0'\n[[packages]]\nname = 'a'\nversion = '1'\n";
  for (const std::string& bad :
       {head, head + "sdist = {url = 'https://x/a.tar.gz'}\n", head + "wheels = [{url = 'x'}]\n",
        head + "wheels = [{hashes = {sha256 = '00'}}]\n", head + "vcs = {url = 'https://x'}\n",
        head + "marker = \"'x' in extras\"\nwheels = [{hashes = {sha256 = '" + kA + "'}}]\n",
        std::string("lock-version = '2.0'\n"), std::string("packages = []\n")}) {
    EXPECT_NE(Refusal([&] { ReadPylock(Document(bad)); }), "") << bad;
  }
}

}  // namespace
}  // namespace rundlet::rootfs
