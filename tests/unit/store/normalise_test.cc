#include "store/normalise.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "tests/unit/store/fixture.h"

namespace rundlet::store {
namespace {

using testing::HasSubstr;

class NormaliseTest : public StoreFixture {
 protected:
  NormaliseTest() {
    base::MakeDirs(root_dir_.get(), "tree/bin/deep");
    tree_ = base::OpenAt(root_dir_.get(), "tree", O_RDONLY | O_DIRECTORY);
  }
  void Write(const std::string& path, mode_t mode) {
    base::ReplaceAt(tree_.get(), path, "x", 0600, base::Durability::kNone);
    ASSERT_EQ(fchmodat(tree_.get(), path.c_str(), mode, 0), 0);
  }
  struct stat Look(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(fstatat(tree_.get(), path.c_str(), &info, AT_SYMLINK_NOFOLLOW), 0) << path;
    return info;
  }
  std::string Refusal(Links links = Links::kInside) {
    try {
      Normalise(tree_.get(), links);
      return "taken";
    } catch (const base::Error& error) {
      return error.Render();
    }
  }

  base::UniqueFd tree_;
};

TEST_F(NormaliseTest, ModesTimesAndOwnersAreFixed) {
  Write("plain", 0666);
  Write("program", 0700);
  Write("setuid", 06755);
  Write("group-only", 0610);
  ASSERT_EQ(fchmodat(tree_.get(), "bin", 02700, 0), 0);
  ASSERT_EQ(symlinkat("../plain", tree_.get(), "bin/link"), 0);
  if (geteuid() == 0) {
    ASSERT_EQ(fchownat(tree_.get(), "plain", 12, 13, 0), 0);
    ASSERT_EQ(fchownat(tree_.get(), "bin/link", 12, 13, AT_SYMLINK_NOFOLLOW), 0);
  }
  Normalise(tree_.get());
  EXPECT_EQ(Look("plain").st_mode & 07777, 0444u);
  EXPECT_EQ(Look("program").st_mode & 07777, 0555u);
  EXPECT_EQ(Look("setuid").st_mode & 07777, 0555u);
  EXPECT_EQ(Look("group-only").st_mode & 07777, 0555u);
  EXPECT_EQ(Look("bin").st_mode & 07777, 0755u);
  EXPECT_EQ(Look(".").st_mode & 07777, 0755u);
  for (const char* path : {".", "bin", "bin/deep", "bin/link", "plain", "program", "setuid"}) {
    EXPECT_EQ(Look(path).st_mtim.tv_sec, 1) << path;
    EXPECT_EQ(Look(path).st_mtim.tv_nsec, 0) << path;
    EXPECT_EQ(Look(path).st_uid, geteuid()) << path;
    EXPECT_EQ(Look(path).st_gid, getegid()) << path;
  }
}

TEST_F(NormaliseTest, WhatIsNormalIsNotTouched) {
  Write("plain", 0644);
  Normalise(tree_.get());
  const struct stat before = Look("plain");
  Normalise(tree_.get());
  const struct stat after = Look("plain");
  EXPECT_EQ(before.st_ctim.tv_sec, after.st_ctim.tv_sec);
  EXPECT_EQ(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
}

TEST_F(NormaliseTest, LinksThatStayInsideAreTaken) {
  for (const char* target :
       {"x", "./x", "deep", "deep/y", "../plain", "../bin/./deep", "../..x", ".."}) {
    ASSERT_EQ(symlinkat(target, tree_.get(), "bin/link"), 0);
    EXPECT_EQ(Refusal(), "taken") << target;
    ASSERT_EQ(unlinkat(tree_.get(), "bin/link", 0), 0);
  }
}

TEST_F(NormaliseTest, LinksThatMayLeadOutsideAreRefused) {
  for (const char* target : {"/etc/passwd", "/", "../..", "../../x", ".././../x", "deep/../../../x",
                             "deep/..", "x/../y", "..//.."}) {
    ASSERT_EQ(symlinkat(target, tree_.get(), "bin/link"), 0);
    EXPECT_THAT(Refusal(), HasSubstr("taking in `bin/link`\ncaused by: it is a symbolic link"))
        << target;
    EXPECT_EQ(Refusal(Links::kAny), "taken") << target;
    ASSERT_EQ(unlinkat(tree_.get(), "bin/link", 0), 0);
  }
  ASSERT_EQ(symlinkat("..", tree_.get(), "link"), 0);
  EXPECT_THAT(Refusal(), HasSubstr("taking in `link`"));
}

TEST_F(NormaliseTest, NothingOutsideIsChangedThroughALink) {
  base::ReplaceAt(root_dir_.get(), "canary", "x", 0640, base::Durability::kNone);
  ASSERT_EQ(symlinkat("../canary", tree_.get(), "link"), 0);
  Normalise(tree_.get(), Links::kAny);
  struct stat info;
  ASSERT_EQ(fstatat(root_dir_.get(), "canary", &info, 0), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
  EXPECT_NE(info.st_mtim.tv_sec, 1);
}

TEST_F(NormaliseTest, SpecialFilesAreRefused) {
  ASSERT_EQ(mkfifoat(tree_.get(), "bin/deep/pipe", 0600), 0);
  EXPECT_THAT(Refusal(), HasSubstr("taking in `bin/deep/pipe`\ncaused by: it is a device"));
  ASSERT_EQ(unlinkat(tree_.get(), "bin/deep/pipe", 0), 0);
  // A whiteout, which anybody may make.
  if (mknodat(tree_.get(), "gone", S_IFCHR, 0) == 0) {
    EXPECT_THAT(Refusal(Links::kAny), HasSubstr("taking in `gone`"));
  }
}

TEST_F(NormaliseTest, ExtendedAttributesAreDroppedOrRefused) {
  Write("plain", 0644);
  const base::UniqueFd file = base::OpenAt(tree_.get(), "plain", O_RDONLY);
  if (fsetxattr(file.get(), "user.comment", "x", 1, 0) < 0) {
    GTEST_SKIP() << "no extended attributes on the file system of /tmp";
  }
  ASSERT_EQ(fsetxattr(tree_.get(), "user.overlay.impure", "y", 1, 0), 0);
  EXPECT_EQ(Refusal(), "taken");
  EXPECT_LT(fgetxattr(file.get(), "user.comment", nullptr, 0), 0);
  EXPECT_LT(fgetxattr(tree_.get(), "user.overlay.impure", nullptr, 0), 0);
  ASSERT_EQ(fsetxattr(tree_.get(), "user.overlay.opaque", "y", 1, 0), 0);
  EXPECT_THAT(Refusal(Links::kAny),
              HasSubstr("it carries the overlayfs mark `user.overlay.opaque`"));
}

TEST_F(NormaliseTest, EqualTreesBecomeEqualWhoeverMadeThem) {
  Write("plain", 0600);
  Write("bin/program", 0711);
  base::MakeDirs(root_dir_.get(), "other/bin/deep");
  const base::UniqueFd other = base::OpenAt(root_dir_.get(), "other", O_RDONLY | O_DIRECTORY);
  base::ReplaceAt(other.get(), "bin/program", "x", 0500, base::Durability::kNone);
  base::ReplaceAt(other.get(), "plain", "x", 0666, base::Durability::kNone);
  EXPECT_NE(ManifestOf(tree_.get()).text, ManifestOf(other.get()).text);
  Normalise(tree_.get());
  Normalise(other.get());
  EXPECT_EQ(ManifestOf(tree_.get()).text, ManifestOf(other.get()).text);
}

}  // namespace
}  // namespace rundlet::store
