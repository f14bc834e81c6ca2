#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>

#include "base/error.h"
#include "base/fs.h"
#include "image_support.h"
#include "rootfs/worker/archives/unpack_layer.h"

namespace rundlet::rootfs {
namespace {

using ::testing::ElementsAre;
using testing::TarBuilder;
using testing::TemporaryDirectory;
using worker::TreeLimits;

class TreeTest : public ::testing::Test {
 protected:
  worker::UnpackedLayer Unpack(const std::string& tar, const TreeLimits& limits = {}) {
    base::MakeDirs(directory_.fd(), "tree");
    tree_ = base::OpenAt(directory_.fd(), "tree", O_RDONLY | O_DIRECTORY);
    const base::UniqueFd file = base::MemoryFile("layer", tar);
    return worker::UnpackInto(tree_.get(), {file.get(), 0, tar.size()}, {}, limits);
  }

  std::string WhyRefused(const std::string& tar, const TreeLimits& limits = {}) {
    try {
      Unpack(tar, limits);
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::kInvalid) << error.Render();
      return error.Render();
    }
    return "it was not refused";
  }

  struct stat Stat(const std::string& path) {
    const auto info = base::StatAt(tree_.get(), path);
    EXPECT_TRUE(info) << path;
    return info.value_or(kNothing);
  }
  bool IsWhiteout(const std::string& path) {
    const struct stat info = Stat(path);
    return S_ISCHR(info.st_mode) && info.st_rdev == 0;
  }
  std::string Content(const std::string& path) { return base::ReadAt(tree_.get(), path, 1 << 20); }

  static constexpr struct stat kNothing {};
  TemporaryDirectory directory_;
  base::UniqueFd tree_;
};

TEST_F(TreeTest, KeepsWhatALayerSays) {
  const auto unpacked = Unpack(
      TarBuilder()
          .Dir("d/", 01777)
          .File("d/f", "content", {.mode = 04751, .pax = {{"mtime", "1234567890.123456789"}}})
          .Symlink("d/l", "/etc/passwd")
          .HardLink("h", "d/f")
          .Raw('3', "d/null", "", 0, "")
          .File("deep/er/file", "x")
          .Finish());
  EXPECT_EQ(Content("d/f"), "content");
  EXPECT_EQ(Stat("d/f").st_mode & 07777, 0751u);
  EXPECT_EQ(Stat("d/f").st_mtim.tv_nsec, 123456789);
  EXPECT_EQ(Stat("d/f").st_ino, Stat("h").st_ino);
  EXPECT_EQ(Stat("d").st_mode & 07777, 01777u);
  EXPECT_EQ(Stat("d").st_mtim.tv_sec, 1'000'000'000);
  EXPECT_EQ(Stat("deep").st_mode & 07777, 0755u);
  std::array<char, 20> target{};
  ASSERT_EQ(readlinkat(tree_.get(), "d/l", target.data(), target.size()), 11);
  EXPECT_FALSE(base::ExistsAt(tree_.get(), "d/null"));
  EXPECT_EQ(unpacked.tree.dropped_specials, 1u);
  EXPECT_EQ(unpacked.tree.stripped_setuid, 1u);
  EXPECT_EQ(unpacked.tree.entries, 6u);
}

TEST_F(TreeTest, KeepsUserAttributesOnly) {
  const auto unpacked = Unpack(TarBuilder()
                                   .File("f", "",
                                         {.pax = {{"SCHILY.xattr.user.kept", "v"},
                                                  {"SCHILY.xattr.user.overlay.opaque", "y"},
                                                  {"SCHILY.xattr.trusted.overlay.opaque", "y"},
                                                  {"SCHILY.xattr.security.capability", "x"}}})
                                   .Finish());
  const base::UniqueFd file = base::OpenAt(tree_.get(), "f", O_RDONLY);
  std::array<char, 200> names{};
  const ssize_t length = flistxattr(file.get(), names.data(), names.size());
  EXPECT_EQ(std::string(names.data(), static_cast<size_t>(length)), std::string("user.kept\0", 10));
  EXPECT_EQ(unpacked.tree.dropped_xattrs, 3u);
}

TEST_F(TreeTest, MakesWhiteoutsAndReportsOpaqueDirectories) {
  const auto unpacked = Unpack(TarBuilder()
                                   .Dir("a/")
                                   .File("a/.wh.gone", "")
                                   .File("b/.wh..wh..opq", "")
                                   .File("b/.wh.redundant", "")
                                   .File("b/sub/.wh.redundant", "")
                                   .File(".wh..wh.plnk", "")
                                   .File("b-2/.wh.x", "")
                                   .Finish());
  EXPECT_TRUE(IsWhiteout("a/gone"));
  EXPECT_TRUE(IsWhiteout("b-2/x"));
  EXPECT_THAT(unpacked.tree.opaque, ElementsAre("b"));
  // Nothing below shows through anyway, and overlayfs would list them as names that cannot be
  // opened.
  EXPECT_FALSE(base::ExistsAt(tree_.get(), "b/redundant"));
  EXPECT_FALSE(base::ExistsAt(tree_.get(), "b/sub/redundant"));
  EXPECT_FALSE(base::ExistsAt(tree_.get(), ".wh..wh.plnk"));
}

// A whiteout is about lower layers, whatever its place in the archive.
TEST_F(TreeTest, WhiteoutsNeverHideWhatTheSameLayerBrings) {
  const auto before = Unpack(TarBuilder()
                                 .File(".wh.f", "")
                                 .File("f", "new")
                                 .File(".wh.d", "")
                                 .Dir("d/")
                                 .File("d/x", "new")
                                 .File(".wh.implied", "")
                                 .File("implied/x", "new")
                                 .Finish());
  EXPECT_EQ(Content("f"), "new");
  EXPECT_EQ(Content("d/x"), "new");
  EXPECT_THAT(before.tree.opaque, ElementsAre("d", "implied"));
  base::RemoveTree(directory_.fd(), "tree");
  const auto after = Unpack(TarBuilder()
                                .File("f", "new")
                                .File(".wh.f", "")
                                .Dir("d/")
                                .File("d/x", "new")
                                .File(".wh.d", "")
                                .Finish());
  EXPECT_EQ(Content("f"), "new");
  EXPECT_EQ(Content("d/x"), "new");
  EXPECT_THAT(after.tree.opaque, ElementsAre("d"));
}

TEST_F(TreeTest, TheLaterOfTwoEntriesCounts) {
  Unpack(TarBuilder()
             .File("file-to-dir", "x")
             .Dir("file-to-dir/")
             .Dir("dir-to-file/")
             .File("dir-to-file/inner", "x")
             .File("dir-to-file", "y")
             .Symlink("link-to-file", "/etc/passwd")
             .File("link-to-file", "z")
             .File("one", "1")
             .HardLink("other", "one")
             .File("one", "2")
             .Finish());
  EXPECT_TRUE(S_ISDIR(Stat("file-to-dir").st_mode));
  EXPECT_EQ(Content("dir-to-file"), "y");
  EXPECT_EQ(Content("link-to-file"), "z");
  EXPECT_EQ(Content("one"), "2");
  EXPECT_EQ(Content("other"), "1");  // never written through
}

TEST_F(TreeTest, TheRootStaysADirectory) {
  Unpack(TarBuilder().Dir("./", 0700).File("./a", "x").File("/b", "y").Finish());
  EXPECT_EQ(Stat(".").st_mode & 0777, 0700u);
  EXPECT_EQ(Content("a"), "x");
  EXPECT_EQ(Content("b"), "y");
  for (const char* root : {".", "./", "/", "/.", "./."}) {
    EXPECT_NE(WhyRefused(TarBuilder().Symlink(root, "/tmp").Finish()).find("root"),
              std::string::npos)
        << root;
  }
}

TEST_F(TreeTest, RefusesWaysOut) {
  directory_.Write("canary", "alive");
  const std::vector<std::string> attacks = {
      TarBuilder().File("../canary", "x").Finish(),
      TarBuilder().File("a/../../canary", "x").Finish(),
      TarBuilder().Symlink("up", "..").File("up/canary", "x").Finish(),
      TarBuilder().Symlink("abs", directory_.path()).File("abs/canary", "x").Finish(),
      TarBuilder().Symlink("a", "b").Symlink("b", "a").File("a/x", "x").Finish(),
      TarBuilder().Symlink("up", "..").Dir("up/new").Finish(),
      TarBuilder().Symlink("up", "..").HardLink("mine", "up/canary").Finish(),
      TarBuilder().HardLink("mine", "../canary").Finish(),
      TarBuilder().HardLink("mine", directory_.path() + "/canary").Finish(),
      TarBuilder().HardLink("mine", "absent").Finish(),
      TarBuilder().Dir("d").HardLink("mine", "d").Finish(),
      TarBuilder().File(".wh.w", "").HardLink("mine", "w").Finish(),
      TarBuilder().File("f", "x").HardLink("f", "f").Finish(),
      TarBuilder().File("f", "x").File("f/x", "x").Finish(),
      TarBuilder().Symlink("up", "..").File("up/.wh.canary", "").Finish(),
      TarBuilder().Symlink("up", "..").File("up/.wh..wh..opq", "").Finish(),
      TarBuilder().File("../.wh.canary", "").Finish(),
      TarBuilder().File(".wh.", "").Finish(),
      TarBuilder().File(".wh..", "").Finish(),
      TarBuilder().File(".wh...", "").Finish(),
      TarBuilder().File("a/.wh...", "").Finish(),
      TarBuilder().Dir(".wh.d").Finish(),
      TarBuilder().File(".wh.d/.wh.d", "").Finish(),
      TarBuilder().Symlink("empty", "").Finish(),
      TarBuilder().File("f", "", {.pax = {{"uid", "4294967295"}}}).Finish(),
      TarBuilder().File("f", "", {.pax = {{"uid", "4294967296"}}}).Finish(),
      TarBuilder().File("f", "", {.pax = {{"path", std::string(256, 'n')}}}).Finish(),
  };
  for (size_t i = 0; i < attacks.size(); ++i) {
    EXPECT_EQ(WhyRefused(attacks[i]).find("error: "), 0u) << i;
    base::RemoveTree(directory_.fd(), "tree");
    EXPECT_EQ(base::ReadAt(directory_.fd(), "canary", 100), "alive") << i;
    EXPECT_EQ(base::ListDir(directory_.fd()).size(), 1u) << i;
  }
}

TEST_F(TreeTest, HoldsToItsLimits) {
  TarBuilder many;
  for (int i = 0; i < 11; ++i) many.File(std::to_string(i), "");
  EXPECT_NE(WhyRefused(many.Finish(), {.entries = 10}).find("may have 10"), std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder().File("a/b/c", "").Finish(), {.depth = 2}).find("deeper than 2"),
            std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder().File("abcdef", "").Finish(), {.name_bytes = 5}).find("names"),
            std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder()
                           .File("f", "", {.pax = {{"SCHILY.xattr.user.a", std::string(100, 'x')}}})
                           .Finish(),
                       {.xattr_bytes = 50})
                .find("extended attributes"),
            std::string::npos);
}

TEST_F(TreeTest, HolesStayHolesAndAreCounted) {
  const TarBuilder::Options sparse{.pax = {{"GNU.sparse.size", "1048576"},
                                           {"GNU.sparse.numblocks", "1"},
                                           {"GNU.sparse.map", "65536,3"}}};
  const std::string tar = TarBuilder().File("f", "abc", sparse).Finish();
  EXPECT_EQ(Unpack(tar).tree.bytes, 3u);
  std::string wanted(1 << 20, '\0');
  wanted.replace(65'536, 3, "abc");
  EXPECT_EQ(Content("f"), wanted);
  EXPECT_LT(Stat("f").st_blocks * 512, 1 << 16);
  base::RemoveTree(directory_.fd(), "tree");
  EXPECT_NE(WhyRefused(tar, {.hole_bytes = 1000}).find("too sparse"), std::string::npos);
}

TEST_F(TreeTest, AHundredThousandOpaqueMarkersCostNoMoreThanOne) {
  TarBuilder tar;
  for (int i = 0; i < 100'000; ++i) tar.File("d/.wh..wh..opq", "");
  EXPECT_THAT(Unpack(tar.Finish()).tree.opaque, ElementsAre("d"));
}

}  // namespace
}  // namespace rundlet::rootfs
