#include "base/fs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>

#include "base/error.h"

namespace rundlet::base {
namespace {

class FsTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/rundlet-fs-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    path_ = name;
    dir_ = OpenHostPath(path_, O_RDONLY | O_DIRECTORY);
  }
  void TearDown() override {
    const UniqueFd parent = OpenHostPath("/tmp", O_RDONLY | O_DIRECTORY);
    RemoveTree(parent.get(), path_.substr(5));
  }
  std::string path_;
  UniqueFd dir_;
};

TEST_F(FsTest, ReplaceIsAtomicAndLeavesNoTemporary) {
  ReplaceAt(dir_.get(), "a", "one", 0644, Durability::kSynced);
  ReplaceAt(dir_.get(), "a", "two", 0644, Durability::kNone);
  EXPECT_EQ(ReadAt(dir_.get(), "a", 10), "two");
  ASSERT_EQ(ListDir(dir_.get()).size(), 1u);
}

TEST_F(FsTest, ReplaceDoesNotMindWhatAKilledProcessOfItsNumberLeft) {
  const auto left = [](int number) { return fmt::format(".a.{}.{}", getpid(), number); };
  for (int number = 0; number < 100; ++number)
    OpenAt(dir_.get(), left(number), O_WRONLY | O_CREAT | O_EXCL, 0644);
  ReplaceAt(dir_.get(), "a", "one", 0644, Durability::kNone);
  EXPECT_EQ(ReadAt(dir_.get(), "a", 10), "one");
  // Another's, of another pid namespace, may still be written.
  for (int number = 0; number < 100; ++number) EXPECT_TRUE(ExistsAt(dir_.get(), left(number)));
}

TEST_F(FsTest, NothingIsFollowedOutOfTheTree) {
  MakeDirs(dir_.get(), "in/side");
  ASSERT_EQ(symlinkat("/etc", dir_.get(), "out"), 0);
  ASSERT_EQ(symlinkat("in", dir_.get(), "link"), 0);
  EXPECT_THROW(OpenAt(dir_.get(), "out/passwd", O_RDONLY), Error);
  EXPECT_THROW(OpenAt(dir_.get(), "link/side", O_RDONLY), Error);
  EXPECT_THROW(OpenAt(dir_.get(), "../x", O_RDONLY), Error);
  EXPECT_THROW(OpenAt(dir_.get(), "/etc/passwd", O_RDONLY), Error);
  EXPECT_THROW(MakeDirs(dir_.get(), "out/x"), Error);
  EXPECT_THROW(MakeDirs(dir_.get(), "a/../b"), Error);
}

TEST_F(FsTest, HostPathsWithoutLinksAreWhatTheySay) {
  MakeDirs(dir_.get(), "real/inner");
  ASSERT_EQ(symlinkat("real", dir_.get(), "link"), 0);
  ASSERT_EQ(symlinkat("nowhere", dir_.get(), "dangling"), 0);
  EXPECT_TRUE(OpenHostPathWithoutLinks(path_ + "/real/inner", O_PATH).valid());
  for (const char* name : {"/link", "/link/", "/link/inner", "/dangling"}) {
    try {
      OpenHostPathWithoutLinks(path_ + name, O_PATH);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::kInvalid);
      EXPECT_EQ(error.chain().back(), "it is a symbolic link, or behind one");
      const bool known = error.hint().find("/real") != std::string::npos;
      EXPECT_EQ(known, std::string(name) != "/dangling") << error.hint();
    }
  }
  EXPECT_THROW(OpenHostPathWithoutLinks("/proc/self/fd/0", O_PATH), Error);
}

TEST_F(FsTest, RemoveTreeRemovesUnwritableTreesAndNotWhatLinksNameOutside) {
  ReplaceAt(dir_.get(), "kept", "x", 0644, Durability::kNone);
  MakeDirs(dir_.get(), "tree/a/b");
  ASSERT_EQ(symlinkat("../kept", dir_.get(), "tree/link"), 0);
  ASSERT_EQ(fchmodat(dir_.get(), "tree/a", 0500, 0), 0);
  RemoveTree(dir_.get(), "tree");
  EXPECT_FALSE(ExistsAt(dir_.get(), "tree"));
  EXPECT_TRUE(ExistsAt(dir_.get(), "kept"));
  RemoveTree(dir_.get(), "tree");  // absent: fine
}

// As a sandbox can make one: deeper than this process may have descriptors open.
TEST_F(FsTest, RemoveTreeRemovesDeepTrees) {
  MakeDirs(dir_.get(), "tree/.0");  // a name that the removal may want for itself
  UniqueFd deepest = OpenAt(dir_.get(), "tree", O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(mkdirat(deepest.get(), "d", 0755), 0);
    ReplaceAt(deepest.get(), "file", "", 0644, Durability::kNone);
    deepest = OpenAt(deepest.get(), "d", O_RDONLY | O_DIRECTORY);
  }
  rlimit given;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &given), 0);
  const rlimit few = {200, given.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  EXPECT_NO_THROW(RemoveTree(dir_.get(), "tree"));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &given), 0);
  EXPECT_FALSE(ExistsAt(dir_.get(), "tree"));
}

TEST_F(FsTest, ReadsAreLimited) {
  ReplaceAt(dir_.get(), "big", std::string(100, 'x'), 0644, Durability::kNone);
  EXPECT_EQ(ReadAt(dir_.get(), "big", 100).size(), 100u);
  EXPECT_THROW(ReadAt(dir_.get(), "big", 99), Error);
}

TEST(IsPlainRelative, RefusesWhatLeadsElsewhere) {
  EXPECT_TRUE(IsPlainRelative("a/b.c/-d"));
  for (const char* bad : {"", "/a", "a//b", "a/", ".", "..", "a/../b", "./a"}) {
    EXPECT_FALSE(IsPlainRelative(bad)) << bad;
  }
  EXPECT_FALSE(IsPlainRelative(std::string("a\0b", 3)));
  EXPECT_FALSE(IsPlainRelative(std::string(300, 'a')));
}

}  // namespace
}  // namespace rundlet::base
