#include "store/state_dir.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/unit/store/fixture.h"

namespace rundlet::store {
namespace {

using testing::HasSubstr;

class StateDirTest : public StoreFixture {
 protected:
  // The error's text, or "opened".
  static std::string Opening(const std::string& path) {
    try {
      Store::Open(path);
      return "opened";
    } catch (const base::Error& error) {
      return error.Render();
    }
  }
};

TEST_F(StateDirTest, IsCreatedWithItsParentsForItsOwnerOnly) {
  const std::string path = root_ + "/a/b/state";
  EXPECT_EQ(Opening(path), "opened");
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
  EXPECT_EQ(info.st_uid, geteuid());
  EXPECT_EQ(base::ReadAt(root_dir_.get(), "a/b/state/version", 10), "1\n");
  EXPECT_EQ(Opening(path + "///"), "opened");
}

TEST_F(StateDirTest, AnEmptyDirectoryBecomesPrivate) {
  ASSERT_EQ(mkdir(state_.c_str(), 0755), 0);
  ASSERT_EQ(mkdir((state_ + "/lost+found").c_str(), 0700), 0);
  EXPECT_EQ(Opening(state_), "opened");
  struct stat info;
  ASSERT_EQ(stat(state_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
}

TEST_F(StateDirTest, ACreationThatWasCutShortIsFinished) {
  Store::Open(state_);
  base::RemoveTree(root_dir_.get(), "state/version");
  base::RemoveTree(root_dir_.get(), "state/leases");
  EXPECT_EQ(Opening(state_), "opened");
  EXPECT_TRUE(base::ExistsAt(root_dir_.get(), "state/leases"));
  EXPECT_TRUE(base::ExistsAt(root_dir_.get(), "state/version"));
}

TEST_F(StateDirTest, ALinkIsRefused) {
  Store::Open(state_);
  ASSERT_EQ(symlinkat("state", root_dir_.get(), "link"), 0);
  EXPECT_THAT(Opening(root_ + "/link"), HasSubstr("caused by: it is a symbolic link\n"));
  EXPECT_THAT(Opening(root_ + "/link/"), HasSubstr("it is a symbolic link"));
  ASSERT_EQ(symlinkat("nowhere", root_dir_.get(), "dangling"), 0);
  EXPECT_THAT(Opening(root_ + "/dangling"), HasSubstr("it is a symbolic link"));
  base::ReplaceAt(root_dir_.get(), "file", "x", 0600, base::Durability::kNone);
  EXPECT_THAT(Opening(root_ + "/file"), HasSubstr("it is not a directory"));
}

TEST_F(StateDirTest, ADirectoryOthersMayWriteIsRefused) {
  Store::Open(state_);
  for (const mode_t mode : {0770u, 0702u, 01777u}) {
    ASSERT_EQ(chmod(state_.c_str(), mode), 0);
    EXPECT_THAT(Opening(state_), HasSubstr("others may write to it"));
  }
  ASSERT_EQ(chmod(state_.c_str(), 0755), 0);
  if (geteuid() == 0) {
    EXPECT_THAT(Opening(state_), HasSubstr("others may enter it (mode 0755)\nhint: chmod 700 "));
  } else {
    EXPECT_EQ(Opening(state_), "opened");
  }
}

TEST_F(StateDirTest, ADirectoryOfSomebodyElseIsRefused) {
  std::string path = "/usr";  // root's, for whoever is not root
  if (geteuid() == 0) {
    ASSERT_EQ(mkdir(state_.c_str(), 0700), 0);
    ASSERT_EQ(chown(state_.c_str(), 65534, 0), 0);
    path = state_;
  }
  EXPECT_THAT(Opening(path), HasSubstr("it belongs to uid "));
}

TEST_F(StateDirTest, ADirectoryThatHoldsSomethingElseIsRefusedAndLeftAlone) {
  ASSERT_EQ(mkdir(state_.c_str(), 0755), 0);
  base::ReplaceAt(root_dir_.get(), "state/thesis.tex", "x", 0600, base::Durability::kNone);
  EXPECT_THAT(Opening(state_), HasSubstr("it holds something else (`thesis.tex`)"));
  EXPECT_EQ(base::ListDir(root_dir_.get(), "state").size(), 1u);
  struct stat info;
  ASSERT_EQ(stat(state_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0755u);
}

TEST_F(StateDirTest, AnotherFormatIsRefused) {
  Store::Open(state_);
  for (const char* version : {"2\n", "", "one", "10\n"}) {
    base::ReplaceAt(root_dir_.get(), "state/version", version, 0600, base::Durability::kNone);
    EXPECT_THAT(Opening(state_), HasSubstr("this program knows format `1`"));
  }
  base::ReplaceAt(root_dir_.get(), "state/version", std::string(1000, '1'), 0600,
                  base::Durability::kNone);
  EXPECT_THAT(Opening(state_), HasSubstr("it is larger than"));
}

TEST_F(StateDirTest, AnEmptyPathIsRefused) {
  EXPECT_THAT(Opening(""), HasSubstr("its path is empty"));
}

}  // namespace
}  // namespace rundlet::store
