#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fs.h"
#include "image_support.h"
#include "rootfs/images/image.h"

namespace rundlet::rootfs {
namespace {

using nlohmann::json;
using testing::InProcessWorker;
using testing::LayoutBuilder;
using testing::TarBuilder;
using testing::TemporaryDirectory;

class ImportTest : public ::testing::Test {
 protected:
  ImportTest() : store_(store::Store::Open(state_.path() + "/state")), worker_(*store_) {}

  ImportedImage Import(base::UniqueFd source, const std::string& name = "test") {
    return ImportImage(*store_, worker_, {.name = name, .source = std::move(source)}, progress_,
                       cancel_);
  }
  ImportedImage Import(const std::map<std::string, std::string>& files) {
    TemporaryDirectory layout;
    WriteTo(layout, files);
    return Import(base::OpenHostPath(layout.path(), O_RDONLY | O_DIRECTORY));
  }
  ImportedImage ImportArchive(const std::string& bytes) {
    return Import(base::MemoryFile("archive", bytes));
  }

  template <typename Action>
  std::string WhyRefused(Action action) {
    try {
      action();
    } catch (const base::Error& error) {
      EXPECT_TRUE(base::ListDir(store_->dir(), "staging").size() <= 1);  // its lock file
      return error.Render();
    }
    return "it was not refused";
  }

  std::string LayerPath(const base::Digest& diff_id) {
    return store::Store::PathOf(store::Kind::kLayer, diff_id.hex());
  }
  size_t LayersInStore() { return store_->List(store::Kind::kLayer).size(); }

  TemporaryDirectory state_;
  std::unique_ptr<store::Store> store_;
  InProcessWorker worker_;
  ImportProgressCallback progress_;
  const base::CancelToken* cancel_ = nullptr;

  const std::string bottom_ = TarBuilder().Dir("usr/").File("usr/a", "old").File("b", "b").Finish();
  const std::string top_ = TarBuilder().Dir("usr/").File("usr/.wh.a", "").File("c", "c").Finish();
};

TEST_F(ImportTest, TakesALayout) {
  const LayoutBuilder layout =
      LayoutBuilder().Add(bottom_).AddCompressed(top_, testing::Gzip(top_), "gzip");
  const ImportedImage imported = Import(layout.Finish());
  const Image& image = imported.image;
  EXPECT_EQ(image.name, "test");
  EXPECT_EQ(image.layers, (std::vector{base::Digest::Of(bottom_), base::Digest::Of(top_)}));
  EXPECT_EQ(image.config.env, (std::vector<std::string>{"PATH=/usr/bin", "LANG=C.UTF-8"}));
  EXPECT_TRUE(image.interpreter.executable.empty());
  EXPECT_EQ(base::ReadAt(store_->dir(), LayerPath(image.layers[0]) + "/usr/a", 10), "old");
  EXPECT_TRUE(S_ISCHR(base::StatAt(store_->dir(), LayerPath(image.layers[1]) + "/usr/a")->st_mode));
  EXPECT_EQ(imported.leases.size(), 2u);
  const auto info = store_->Find(store::Kind::kLayer, image.layers[0].hex());
  EXPECT_EQ(info->name, "test, layer 1 of 2");
  EXPECT_EQ(info->files, 2u);
}

TEST_F(ImportTest, TakesArchivesPlainAndCompressed) {
  const std::string archive = testing::TarOf(LayoutBuilder().Add(bottom_).Add(top_).Finish());
  const Image plain = ImportArchive(archive).image;
  EXPECT_EQ(plain.layers.size(), 2u);
  EXPECT_EQ(ImportArchive(testing::Gzip(archive)).image, plain);
  EXPECT_EQ(ImportArchive(testing::Zstd(archive)).image, plain);
  EXPECT_EQ(LayersInStore(), 2u);
}

TEST_F(ImportTest, TakesWhatDockerSaves) {
  const json config = {{"architecture", HostPlatform().architecture},
                       {"os", "linux"},
                       {"rootfs",
                        {{"type", "layers"},
                         {"diff_ids",
                          {"sha256:" + base::Digest::Of(bottom_).hex(),
                           "sha256:" + base::Digest::Of(bottom_).hex()}}}}};
  const json manifest = {{{"Config", "c.json"},
                          {"RepoTags", {"test:latest"}},
                          {"Layers", {"1/layer.tar", "2/layer.tar"}}}};
  TarBuilder tar;
  tar.Symlink("2/layer.tar", "../1/layer.tar")  // docker's way to write a layer that comes twice
      .File("1/layer.tar", bottom_)
      .File("c.json", config.dump())
      .File("manifest.json", manifest.dump());
  const Image image = ImportArchive(tar.Finish()).image;
  EXPECT_EQ(image.manifest_digest, base::Digest::Of(config.dump()));
  EXPECT_EQ(image.layers, std::vector(2, base::Digest::Of(bottom_)));
}

TEST_F(ImportTest, TakesWhatDockerSavedLongAgo) {
  const std::string a = base::Digest::Of("a").hex();
  const std::string b = base::Digest::Of("b").hex();
  TarBuilder tar;
  tar.File(a + "/json", json{{"id", a}}.dump())
      .File(a + "/layer.tar", bottom_)
      .File(b + "/json", json{{"id", b},
                              {"parent", a},
                              {"architecture", HostPlatform().architecture},
                              {"os", "linux"},
                              {"config", {{"Cmd", {"sh"}}}}}
                             .dump())
      .File(b + "/layer.tar", top_)
      .File("repositories", json{{"test", {{"latest", b}}}}.dump());
  const Image image = ImportArchive(tar.Finish()).image;
  EXPECT_EQ(image.layers, (std::vector{base::Digest::Of(bottom_), base::Digest::Of(top_)}));
  EXPECT_EQ(image.config.cmd, std::vector<std::string>{"sh"});
}

TEST_F(ImportTest, UnpacksALayerOnce) {
  const auto files = LayoutBuilder().Add(bottom_).Add(top_).Add(bottom_).Finish();
  Import(files);
  Import(files);
  const auto commands = worker_.commands();
  EXPECT_EQ(std::count(commands.begin(), commands.end(), "unpack-layer"), 2);
}

TEST_F(ImportTest, ReportsEachLayer) {
  std::map<size_t, LayerState> last;
  progress_ = [&](const ImportProgress& now) {
    EXPECT_EQ(now.layers, 2u);
    last[now.layer] = now.state;
  };
  const auto files = LayoutBuilder().Add(bottom_).Add(top_).Finish();
  Import(files);
  EXPECT_EQ(last, (std::map<size_t, LayerState>{{0, LayerState::kDone}, {1, LayerState::kDone}}));
  Import(files);
  EXPECT_EQ(last,
            (std::map<size_t, LayerState>{{0, LayerState::kPresent}, {1, LayerState::kPresent}}));
}

TEST_F(ImportTest, MarksOpaqueDirectories) {
  if (geteuid() != 0) GTEST_SKIP() << "trusted attributes need root";
  const std::string tar =
      TarBuilder().File("d \xff/.wh..wh..opq", "").File("d \xff/x", "x").Finish();
  const Image image = Import(LayoutBuilder().Add(bottom_).Add(tar).Finish()).image;
  const base::UniqueFd dir =
      base::OpenAt(store_->dir(), LayerPath(image.layers[1]) + "/d \xff", O_RDONLY | O_DIRECTORY);
  std::array<char, 4> value{};
  EXPECT_EQ(fgetxattr(dir.get(), "trusted.overlay.opaque", value.data(), value.size()), 1);
  EXPECT_EQ(value[0], 'y');
}

// Overlayfs pays no attention to an opaque root: the layers below are left out instead, also the
// second time.
TEST_F(ImportTest, AnOpaqueRootHidesTheLayersBelow) {
  if (geteuid() != 0) GTEST_SKIP() << "trusted attributes need root";
  const std::string tar = TarBuilder().File(".wh..wh..opq", "").File("x", "x").Finish();
  const auto files = LayoutBuilder().Add(bottom_).Add(tar).Add(top_).Finish();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Import(files).image.layers,
              (std::vector{base::Digest::Of(tar), base::Digest::Of(top_)}));
  }
}

TEST_F(ImportTest, RefusesAlteredBytes) {
  const std::string blob = testing::Gzip(bottom_);
  for (auto [path, bytes] : LayoutBuilder().AddCompressed(bottom_, blob, "gzip").Finish()) {
    if (path == "oci-layout") continue;
    auto files = LayoutBuilder().AddCompressed(bottom_, blob, "gzip").Finish();
    for (const size_t at : {size_t{5}, bytes.size() / 2, bytes.size() - 5}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ 1);
      if (path == "index.json") changed = bytes.substr(0, at);  // nothing vouches for its bytes
      files[path] = changed;
      EXPECT_EQ(WhyRefused([&] { Import(files); }).find("error: importing image `test`"), 0u)
          << path << " " << at;
    }
    files[path] = bytes.substr(0, bytes.size() - 1);
    EXPECT_EQ(WhyRefused([&] { Import(files); }).find("error: "), 0u) << path;
    files.erase(path);
    EXPECT_NE(WhyRefused([&] { Import(files); }).find("`"), std::string::npos) << path;
  }
  EXPECT_EQ(LayersInStore(), 0u);
}

TEST_F(ImportTest, RefusesALayerThatIsNotTheConfigs) {
  LayoutBuilder layout;
  layout.AddCompressed(bottom_, testing::Gzip(top_), "gzip");
  EXPECT_NE(WhyRefused([&] { Import(layout.Finish()); }).find("not what the image's config says"),
            std::string::npos);
  LayoutBuilder mislabelled;
  mislabelled.AddCompressed(bottom_, testing::Gzip(bottom_), "zstd");
  EXPECT_NE(WhyRefused([&] { Import(mislabelled.Finish()); }).find("media type"),
            std::string::npos);
  EXPECT_EQ(LayersInStore(), 0u);
}

TEST_F(ImportTest, RefusesAnotherPlatform) {
  LayoutBuilder layout;
  layout.Add(bottom_);
  layout.architecture = "s390x";
  EXPECT_NE(WhyRefused([&] { Import(layout.Finish()); }).find("linux/s390x"), std::string::npos);
}

// An index that names itself cannot be made with a true digest; a chain of indexes can.
TEST_F(ImportTest, RefusesDeepIndexes) {
  auto files = LayoutBuilder().Add(bottom_).Finish();
  for (int depth = 1; depth <= 3; ++depth) {
    EXPECT_NO_THROW(Import(files)) << depth;
    const std::string inner =
        testing::AddBlob(files, files["index.json"], "application/vnd.oci.image.index.v1+json");
    files["index.json"] = R"({"schemaVersion": 2, "manifests": [)" + inner + "]}";
  }
  EXPECT_NE(WhyRefused([&] { Import(files); }).find("deeper than 3"), std::string::npos);
}

TEST_F(ImportTest, FollowsNoLinksOfADirectory) {
  TemporaryDirectory layout;
  WriteTo(layout, LayoutBuilder().Add(bottom_).Finish());
  ASSERT_EQ(renameat(layout.fd(), "blobs", layout.fd(), "elsewhere"), 0);
  ASSERT_EQ(symlinkat("elsewhere", layout.fd(), "blobs"), 0);
  EXPECT_NE(WhyRefused([&] {
              Import(base::OpenHostPath(layout.path(), O_RDONLY | O_DIRECTORY));
            }).find("opening"),
            std::string::npos);
  ASSERT_EQ(unlinkat(layout.fd(), "index.json", 0), 0);
  ASSERT_EQ(mkfifoat(layout.fd(), "index.json", 0600), 0);
  EXPECT_NE(WhyRefused([&] {
              Import(base::OpenHostPath(layout.path(), O_RDONLY | O_DIRECTORY));
            }).find("no regular file"),
            std::string::npos);
}

TEST_F(ImportTest, RefusesWhatIsNoImage) {
  EXPECT_NE(WhyRefused([&] { ImportArchive(bottom_); }).find("neither an OCI image layout"),
            std::string::npos);
  EXPECT_NE(WhyRefused([&] { ImportArchive("hello"); }).find("tar archive"), std::string::npos);
  EXPECT_NE(WhyRefused([&] { ImportArchive(""); }).find("neither an OCI"), std::string::npos);
  EXPECT_NE(WhyRefused([&] { Import(base::OpenHostPath("/dev/null", O_RDONLY)); }).find("neither"),
            std::string::npos);
  const auto files = LayoutBuilder().Add(bottom_).Finish();
  std::string twice = testing::TarOf(files);
  twice = twice.substr(0, twice.size() - 1024) + testing::TarOf(files);
  EXPECT_NE(WhyRefused([&] { ImportArchive(twice); }).find("there twice"), std::string::npos);
}

// The answers come from a process that looked at hostile bytes.
TEST_F(ImportTest, BelievesNoAnswerOfAWorker) {
  const auto files = LayoutBuilder().Add(bottom_).Finish();
  const std::string archive = testing::TarOf(files);
  const auto with = [&](const char* key, const json& value) {
    worker_.tamper = [key, value](const std::string& answer) {
      json changed = json::parse(answer);
      if (changed.contains(key)) changed[key] = value;
      return changed.dump();
    };
  };
  const std::vector<std::pair<const char*, json>> lies = {
      {"members", {{{"path", "index.json"}, {"offset", 0}, {"size", uint64_t{1} << 40}}}},
      {"members",
       {{{"path", "index.json"}, {"offset", uint64_t{1} << 63}, {"size", uint64_t{1} << 63}}}},
      {"members", {{{"path", "%zz"}, {"offset", 0}, {"size", 0}}}},
      {"document", 5},
      {"document", nullptr},
      {"digest", "sha256:00"},
      {"diff_id", base::Digest::Of("other").hex()},
      {"blob", base::Digest::Of("other").hex()},
      {"opaque", {"../../etc"}},
      {"opaque", {"/etc"}},
      {"opaque", {"absent"}},
      {"opaque", "x"},
  };
  for (const auto& [key, value] : lies) {
    with(key, value);
    EXPECT_EQ(WhyRefused([&] { ImportArchive(archive); }).find("error: "), 0u) << key << value;
  }
  worker_.tamper = [](const std::string&) { return "no JSON"; };
  EXPECT_EQ(WhyRefused([&] { ImportArchive(archive); }).find("error: "), 0u);
  EXPECT_EQ(LayersInStore(), 0u);
}

TEST_F(ImportTest, StopsWhenCancelled) {
  base::CancelToken cancel;
  cancel.Cancel();
  cancel_ = &cancel;
  EXPECT_THROW(Import(LayoutBuilder().Add(bottom_).Finish()), base::Cancelled);
}

}  // namespace
}  // namespace rundlet::rootfs
