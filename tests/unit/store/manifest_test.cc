#include "store/manifest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "tests/unit/store/fixture.h"

namespace rundlet::store {
namespace {

using testing::HasSubstr;
using testing::Not;

// The bytes of format 1, for a tree that belongs to root: a change here is a change of the format,
// and of every output digest there is.
constexpr char kTemplate[] =
    "rundlet manifest 1\n"
    "d 0755 OWNER 0 - .\n"
    "d 0755 OWNER 0 - a\n"
    "f 0444 OWNER 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 a-empty\n"
    "f 0555 OWNER 6 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 a/hello\n"
    "h 0555 OWNER 6 a/hello a/later\n"
    "l 0777 OWNER 0 ../a%20%25%c3%a9 link\n"
    "p 0600 OWNER 0 - pipe\n"
    "f 4644 OWNER 6 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 "
    "with%20space%0a%7f%ff\n";
constexpr char kGoldenDigest[] = "9d1a442f22f9ecda759322b142e1253c9eb3eb76f32ad505a444ebf31667e564";

// The manifest of a tree that belongs to "<uid> <gid>".
std::string Golden(const std::string& owner) {
  std::string text = kTemplate;
  for (size_t at = 0; (at = text.find("OWNER", at)) != std::string::npos;)
    text.replace(at, 5, owner);
  return text;
}

class ManifestTest : public StoreFixture {
 protected:
  ManifestTest() {
    base::MakeDirs(root_dir_.get(), "tree");
    tree_ = base::OpenAt(root_dir_.get(), "tree", O_RDONLY | O_DIRECTORY);
  }
  void Write(const std::string& path, std::string_view bytes, mode_t mode) {
    base::ReplaceAt(tree_.get(), path, bytes, 0600, base::Durability::kNone);
    ASSERT_EQ(fchmodat(tree_.get(), path.c_str(), mode, 0), 0);
  }
  std::string Digest() { return ManifestOf(tree_.get()).digest().hex(); }

  base::UniqueFd tree_;
};

TEST_F(ManifestTest, IsWrittenInTheseBytes) {
  base::MakeDirs(tree_.get(), "a");
  Write("a/hello", "hello\n", 0555);
  ASSERT_EQ(linkat(tree_.get(), "a/hello", tree_.get(), "a/later", 0), 0);
  Write("a-empty", "", 0444);
  ASSERT_EQ(symlinkat("../a %\xc3\xa9", tree_.get(), "link"), 0);
  ASSERT_EQ(mkfifoat(tree_.get(), "pipe", 0600), 0);
  Write("with space\n\x7f\xff", "hello\n", 04644);
  const Manifest manifest = ManifestOf(tree_.get());
  EXPECT_EQ(manifest.text, Golden(fmt::format("{} {}", geteuid(), getegid())));
  EXPECT_EQ(manifest.files, 4u);
  EXPECT_EQ(manifest.bytes, 12u);
}

TEST_F(ManifestTest, TheDigestIsThatOfTheText) {
  EXPECT_EQ((Manifest{Golden("0 0"), 0, 0}.digest().hex()), kGoldenDigest);
}

TEST_F(ManifestTest, SaysWhatChangedAndNotWhen) {
  Write("file", "one", 0644);
  base::MakeDirs(tree_.get(), "folder");
  const std::string before = Digest();
  const timespec times[2] = {{5, 0}, {5, 0}};
  ASSERT_EQ(utimensat(tree_.get(), "file", times, 0), 0);
  EXPECT_EQ(Digest(), before);
  ASSERT_EQ(fchmodat(tree_.get(), "folder", 0700, 0), 0);
  EXPECT_NE(Digest(), before);
  ASSERT_EQ(fchmodat(tree_.get(), "folder", 0755, 0), 0);
  EXPECT_EQ(Digest(), before);
  Write("file", "two", 0644);
  EXPECT_NE(Digest(), before);
  Write("file", "one", 0644);
  EXPECT_EQ(Digest(), before);
  base::MakeDirs(tree_.get(), "another");
  EXPECT_NE(Digest(), before);
}

TEST_F(ManifestTest, LinksToOtherTreesDoNotCount) {
  Write("file", "one", 0644);
  const std::string before = Digest();
  ASSERT_EQ(linkat(tree_.get(), "file", root_dir_.get(), "outside", 0), 0);
  EXPECT_EQ(Digest(), before);
}

TEST_F(ManifestTest, LargeFilesAreReadToTheirEnd) {
  Write("file", std::string((size_t{3} << 20) + 17, 'x'), 0644);
  const Manifest manifest = ManifestOf(tree_.get());
  EXPECT_EQ(manifest.bytes, (uint64_t{3} << 20) + 17);
  EXPECT_THAT(manifest.text,
              HasSubstr(base::Digest::Of(std::string((size_t{3} << 20) + 17, 'x')).hex()));
}

TEST_F(ManifestTest, ExtendedAttributesFollowTheirEntry) {
  Write("file", "", 0644);
  const base::UniqueFd file = base::OpenAt(tree_.get(), "file", O_RDONLY);
  if (fsetxattr(file.get(), "user.b c", "\x01\xfe", 2, 0) < 0) {
    GTEST_SKIP() << "no extended attributes on the file system of /tmp";
  }
  ASSERT_EQ(fsetxattr(file.get(), "user.a", "", 0, 0), 0);
  ASSERT_EQ(fsetxattr(tree_.get(), "user.top", "x", 1, 0), 0);
  const std::string text = ManifestOf(tree_.get()).text;
  EXPECT_THAT(text, HasSubstr(" - .\nx user.top 78\n"));
  EXPECT_THAT(text, HasSubstr(" file\nx user.a -\nx user.b%20c 01fe\n"));
}

TEST_F(ManifestTest, TreesTooDeepForAnythingAreRefused) {
  std::string path = "d";
  for (int i = 0; i < 300; ++i) path += "/d";
  base::MakeDirs(tree_.get(), path);
  EXPECT_THROW(ManifestOf(tree_.get()), base::Error);
}

}  // namespace
}  // namespace rundlet::store
