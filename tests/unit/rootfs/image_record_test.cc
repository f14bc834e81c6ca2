#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/fs.h"
#include "image_support.h"
#include "rootfs/formats/layer_path.h"
#include "rootfs/images/image.h"
#include "rootfs/images/skeleton.h"

namespace rundlet::rootfs {
namespace {

class RecordTest : public ::testing::Test {
 protected:
  RecordTest() : store_(store::Store::Open(directory_.path() + "/state")) {}

  static Image AnImage(const std::string& name) {
    Image image;
    image.name = name;
    image.manifest_digest = base::Digest::Of("manifest");
    image.layers = {base::Digest::Of("bottom"), base::Digest::Of("top")};
    image.config = {"amd64", "linux", {"PATH=/usr/bin"}, "1000", "/srv", {"/entry"}, {"a", ""}};
    image.interpreter = {"/usr/bin/python3.11",
                         "3.11.2",
                         "3.11",
                         "cp311",
                         "glibc 2.36",
                         "/usr",
                         "/usr/lib/python3.11",
                         InterpreterIdentity(image)};
    return image;
  }

  std::string WhyNot(const std::string& name) {
    try {
      FindImage(*store_, name);
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::kInvalid);
      return error.Render();
    }
    return "it was found";
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<store::Store> store_;
};

TEST_F(RecordTest, FindsWhatWasSaved) {
  const Image image = AnImage("registry.example/library/python:3.11-slim");
  SaveImage(*store_, image);
  EXPECT_EQ(FindImage(*store_, image.name), image);
  Image kept = AnImage("kept");
  kept.kept = {"application/vnd.oci.image.manifest.v1+json",
               {base::Digest::Of("manifest"), base::Digest::Of("config")}};
  SaveImage(*store_, kept);
  EXPECT_EQ(FindImage(*store_, "kept"), kept);
  RemoveImage(*store_, "kept");
  Image bare = AnImage("bare");
  bare.interpreter = {};
  SaveImage(*store_, bare);
  EXPECT_EQ(FindImage(*store_, "bare"), bare);
  const std::vector<Image> all = ListImages(*store_);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "bare");
  EXPECT_EQ(all[1].name, image.name);
}

TEST_F(RecordTest, ReplacesAndRemoves) {
  Image image = AnImage("python");
  SaveImage(*store_, image);
  image.layers.pop_back();
  SaveImage(*store_, image);
  EXPECT_EQ(FindImage(*store_, "python").layers.size(), 1u);
  RemoveImage(*store_, "python");
  EXPECT_TRUE(ListImages(*store_).empty());
  EXPECT_THROW(RemoveImage(*store_, "python"), base::Error);
}

// What is made by one image's Python is nobody else's (docs/adr/0068).
TEST_F(RecordTest, IdentityIsOfTheWholeImage) {
  const Image image = AnImage("python");
  const base::Digest identity = InterpreterIdentity(image);
  EXPECT_EQ(InterpreterIdentity(AnImage("another")), identity);
  Image other = image;
  other.layers.push_back(base::Digest::Of("more"));
  EXPECT_NE(InterpreterIdentity(other), identity);
  other = image;
  std::swap(other.layers[0], other.layers[1]);
  EXPECT_NE(InterpreterIdentity(other), identity);
  other = image;
  other.config.env.emplace_back("LD_PRELOAD=/opt/x.so");
  EXPECT_NE(InterpreterIdentity(other), identity);
}

TEST_F(RecordTest, SaysWhatThereIs) {
  EXPECT_NE(WhyNot("python").find("there are no images yet"), std::string::npos);
  SaveImage(*store_, AnImage("python:3.11"));
  SaveImage(*store_, AnImage("busybox"));
  EXPECT_NE(WhyNot("python:3.12").find("did you mean `python:3.11`"), std::string::npos);
  EXPECT_NE(WhyNot("zzzzzzzzzzzz").find("there are: busybox, python:3.11"), std::string::npos);
}

TEST_F(RecordTest, KeepsWhereAnImageWasPulled) {
  Image image = AnImage("python:3.11-Slim");
  image.origin = {"python:3.11-Slim", base::Digest::Of("index"), "linux/amd64"};
  SaveImage(*store_, image);
  EXPECT_EQ(FindImage(*store_, image.name), image);
  EXPECT_EQ(TryFindImage(*store_, "python:3.11-slim"), std::nullopt);
}

TEST_F(RecordTest, RefusesOtherNames) {
  for (const std::string& name :
       {std::string(), std::string("Python"), std::string("../x"), std::string("/x"),
        std::string("a b"), std::string("a%2fb"), std::string("a\0b", 3), std::string(201, 'a'),
        "a" + std::string(150, '/')}) {
    EXPECT_THROW(CheckImageName(name), base::Error) << name;
  }
  EXPECT_NO_THROW(CheckImageName("a/../b"));  // no folder: the slashes are encoded
  SaveImage(*store_, AnImage("a/../b"));
  EXPECT_EQ(base::ListDir(store_->dir(), "images").size(), 1u);
  EXPECT_EQ(FindImage(*store_, "a/../b").name, "a/../b");
}

TEST_F(RecordTest, RefusesADamagedRecord) {
  SaveImage(*store_, AnImage("python"));
  const std::string record = base::ReadAt(store_->dir(), "images/python.json", 1 << 20);
  const auto replace = [&](const std::string& from, const std::string& to) {
    std::string changed = record;
    changed.replace(changed.find(from), from.size(), to);
    base::ReplaceAt(store_->dir(), "images/python.json", changed, 0600, base::Durability::kNone);
  };
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"version\": 1", "\"version\": 2"},
           {"\"name\": \"python\"", "\"name\": \"other\""},
           {"\"manifest\"", "\"mani\""},
           {"{", ""}}) {
    replace(from, to);
    EXPECT_THROW(FindImage(*store_, "python"), base::Error) << from;
  }
}

TEST_F(RecordTest, TheSkeletonIsMadeOnceAndTheSameEverywhere) {
  const HeldSkeleton first = EnsureSkeleton(*store_);
  const auto info = store_->Find(store::Kind::kSkeleton, first.key);
  ASSERT_TRUE(info);
  EXPECT_EQ(EnsureSkeleton(*store_).key, first.key);
  const auto other = store::Store::Open(directory_.path() + "/other");
  const auto other_info = other->Find(store::Kind::kSkeleton, EnsureSkeleton(*other).key);
  EXPECT_EQ(other_info->output, info->output);
  const std::string path = store::Store::PathOf(store::Kind::kSkeleton, first.key);
  for (const char* place :
       {"proc", "env", "rundlet/python", "rundlet/in", "rundlet/out", "image"}) {
    EXPECT_TRUE(S_ISDIR(base::StatAt(store_->dir(), path + "/" + place)->st_mode)) << place;
  }
  EXPECT_NE(base::ReadAt(store_->dir(), path + "/etc/passwd", 4096).find("step:x:1000:1000:"),
            std::string::npos);
}

TEST(ImageMounts, StackTheSkeletonOverTheLayers) {
  Image image;
  image.layers = {base::Digest::Of("a"), base::Digest::Of("b"), base::Digest::Of("a")};
  const std::string key = base::Digest::Of("skeleton").hex();
  const auto mounts = ImageMounts(image, key, runtime::ProcView::kFull);
  ASSERT_EQ(mounts.size(), 4u);
  const auto& layers = std::get<runtime::Layers>(mounts[0].source);
  EXPECT_TRUE(layers.idmapped && layers.writable);
  // The skeleton on top, the image's topmost layer next; a layer that comes twice is stacked once.
  using store::Kind;
  EXPECT_EQ(layers.paths, (std::vector<std::string>{
                              store::Store::PathOf(Kind::kSkeleton, key),
                              store::Store::PathOf(Kind::kLayer, base::Digest::Of("a").hex()),
                              store::Store::PathOf(Kind::kLayer, base::Digest::Of("b").hex())}));
  EXPECT_EQ(std::get<runtime::Proc>(mounts[1].source).view, runtime::ProcView::kFull);
}

TEST(LayerPath, CarriesEveryByte) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(DecodePath(EncodePath(all)), all);
  EXPECT_EQ(EncodePath("a b%/\xff"), "a%20b%25/%FF");
  for (const char* bad : {"%", "%2", "%zz", "%2f", "a b", "%41", "%+1"}) {
    EXPECT_EQ(DecodePath(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace rundlet::rootfs
