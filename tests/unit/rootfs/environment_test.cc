#include "rootfs/packages/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/fs.h"
#include "image_support.h"
#include "rootfs/packages/flat_tree.h"
#include "rootfs/packages/package.h"
#include "wheel_support.h"
#include "why_refused.h"

namespace rundlet::rootfs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::WheelBuilder;
using testing::WhyRefused;

const std::string kSite = "lib/python3.11/site-packages/";

DistributionFiles Files(const std::string& name,
                        const std::vector<std::pair<std::string, std::string>>& files) {
  DistributionFiles distribution{name + " 1.0", name, {}};
  for (const auto& [path, content] : files) {
    distribution.files.push_back({kSite + path, base::Digest::Of(content), content.size()});
  }
  return distribution;
}

TEST(Collisions, TheSameBytesAreFine) {
  const auto found =
      FindCollisions({Files("a", {{"google/__init__.py", "x"}, {"google/a.py", "1"}}),
                      Files("b", {{"google/__init__.py", "x"}, {"google/b.py", "2"}})},
                     {});
  EXPECT_TRUE(found.empty());
}

TEST(Collisions, DifferentBytesNameBothAndThePath) {
  EXPECT_EQ(
      WhyRefused([] {
        FindCollisions({Files("a", {{"cv2/x.so", "1"}}), Files("b", {{"cv2/x.so", "2"}})}, {});
      }),
      "error: putting `a 1.0` and `b 1.0` into one environment\n"
      "caused by: both bring `lib/python3.11/site-packages/cv2/x.so`, with different content\n"
      "hint: require only one of them, or say which wins: `--prefer a`, or `prefer = [\"a\"]` "
      "below [python]");
}

TEST(Collisions, ThePreferredOneWins) {
  const auto found = FindCollisions(
      {Files("b", {{"cv2/x.so", "2"}}), Files("a", {{"cv2/x.so", "1"}})}, {.preferred = {"b"}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].winner, "b 1.0");
  EXPECT_EQ(found[0].loser, "a 1.0");
}

TEST(Collisions, JunkAtTopLevelIsOnlyAWarning) {
  const auto found = FindCollisions(
      {Files("a", {{"tests/__init__.py", "1"}, {"LICENSE.txt", "1"}, {"README", "1"}}),
       Files("b", {{"tests/__init__.py", "2"}, {"LICENSE.txt", "2"}, {"README", "2"}})},
      {});
  EXPECT_EQ(found.size(), 3u);
  EXPECT_NE(WhyRefused([] {
              FindCollisions(
                  {Files("a", {{"pkg/tests/x.py", "1"}}), Files("b", {{"pkg/tests/x.py", "2"}})},
                  {});
            }),
            "");
}

TEST(Collisions, AFileInThePlaceOfADirectoryIsRefused) {
  EXPECT_THAT(WhyRefused([] {
                FindCollisions({Files("a", {{"x", "1"}}), Files("b", {{"x/y/z.py", "1"}})}, {});
              }),
              HasSubstr("one as a file and one as a directory"));
}

InstalledDistribution Installed(const std::string& name) {
  InstalledDistribution one;
  one.distribution.name = name;
  one.package.kind = store::Kind::kPackage;
  one.package.key = base::Digest::Of(name).hex();
  return one;
}

EnvironmentParts Parts(const std::vector<std::string>& names) {
  EnvironmentParts parts;
  parts.interpreter.identity = base::Digest::Of("identity");
  parts.venv_key = base::Digest::Of("venv").hex();
  for (const std::string& name : names) parts.distributions.push_back(Installed(name));
  return parts;
}

std::string PathOf(const std::string& name) {
  return store::Store::PathOf(store::Kind::kPackage, base::Digest::Of(name).hex());
}

TEST(Environments, LayersAreOrderedByNameOverTheVenv) {
  const EnvironmentParts parts = Parts({"six", "numpy"});
  const Environment environment = Compose(parts);
  EXPECT_THAT(environment.lowers,
              ElementsAre(PathOf("numpy"), PathOf("six"),
                          store::Store::PathOf(store::Kind::kSkeleton, parts.venv_key)));
  EXPECT_EQ(environment.digest, Compose(Parts({"numpy", "six"})).digest);
  EXPECT_NE(environment.digest, Compose(Parts({"numpy"})).digest);
  const runtime::Mount mount = EnvironmentMount(environment);
  EXPECT_EQ(mount.target, "/env");
  EXPECT_EQ(std::get<runtime::Layers>(mount.source),
            (runtime::Layers{environment.lowers, false, false}));
}

TEST(Environments, AreBoundOneByOneBesideTheVenv) {
  EnvironmentParts parts = Parts({"six", "numpy"});
  parts.interpreter.tag = "3.11";
  const Environment environment = Compose(parts);
  const BoundEnvironment bound = BindEnvironment(environment, parts.interpreter);
  EXPECT_THAT(
      bound.mounts,
      ElementsAre(runtime::Mount{"/env", runtime::StorePath{environment.lowers[2]}},
                  runtime::Mount{"/rundlet/packages/0", runtime::StorePath{PathOf("numpy")}},
                  runtime::Mount{"/rundlet/packages/1", runtime::StorePath{PathOf("six")}}));
  EXPECT_EQ(bound.programs, "/env/bin:/rundlet/packages/0/bin:/rundlet/packages/1/bin");
  EXPECT_EQ(bound.modules,
            "/rundlet/packages/0/lib/python3.11/site-packages:"
            "/rundlet/packages/1/lib/python3.11/site-packages");
}

TEST(Environments, BytecodeChangesTheLayersAndNotTheDigest) {
  EnvironmentParts parts = Parts({"six"});
  const base::Digest digest = Compose(parts).digest;
  parts.distributions[0].lower = store::EntryInfo();
  parts.distributions[0].lower->kind = store::Kind::kLower;
  parts.distributions[0].lower->key = base::Digest::Of("lower").hex();
  EXPECT_EQ(Compose(parts).digest, digest);
  EXPECT_EQ(Compose(parts).lowers.front(),
            store::Store::PathOf(store::Kind::kLower, parts.distributions[0].lower->key));
}

TEST(Environments, PreferredOnesLieOnTop) {
  EnvironmentParts parts = Parts({"a", "b", "c"});
  parts.preferred = {"c"};
  const Environment environment = Compose(parts);
  EXPECT_EQ(environment.lowers.front(), PathOf("c"));
  EXPECT_NE(environment.digest, Compose(Parts({"a", "b", "c"})).digest);
  parts.preferred = {"d"};
  EXPECT_THAT(WhyRefused([&] { Compose(parts); }),
              HasSubstr("`d` is to be preferred and is not in it"));
}

TEST(Environments, TwiceIsRefused) {
  EXPECT_THAT(WhyRefused([] { Compose(Parts({"a", "a"})); }), HasSubstr("`a` is in it twice"));
}

TEST(Environments, AreCheckedFromTheirRecords) {
  const testing::TemporaryDirectory directory;
  const auto store = store::Store::Open(directory.path() + "/state");
  testing::PackageWorker worker(*store);
  EnvironmentParts parts = Parts({});
  const auto add = [&](const std::string& name, const std::map<std::string, std::string>& files) {
    WheelBuilder wheel;
    wheel.name = name;
    wheel.files = files;
    testing::PutWheel(*store, wheel.Locked(), wheel.Bytes());
    parts.distributions.push_back(
        {wheel.Locked(), testing::InstallPackage(*store, worker, wheel.Locked()), std::nullopt});
  };
  add("a", {{"shared/__init__.py", ""},
            {"shared/a.py", "1"},
            {"typing.py", "old"},
            {"tests/x.py", "1"}});
  add("b", {{"shared/__init__.py", ""}, {"shared/b.py", "1"}, {"tests/x.py", "2"}});
  EXPECT_THAT(
      CheckEnvironment(*store, parts),
      ElementsAre(
          "`a 1.0` brings `typing`, which Python's own standard library hides",
          "`lib/python3.11/site-packages/tests/x.py` of `b 1.0` is hidden by that of `a 1.0`"));
  add("c", {{"shared/b.py", "2"}});
  EXPECT_THAT(WhyRefused([&] { CheckEnvironment(*store, parts); }),
              HasSubstr("`b 1.0` and `c 1.0`"));
  parts.preferred = {"c"};
  EXPECT_EQ(CheckEnvironment(*store, parts).size(), 3u);
}

TEST(Environments, TellOfAFewHiddenFiles) {
  const testing::TemporaryDirectory directory;
  const auto store = store::Store::Open(directory.path() + "/state");
  testing::PackageWorker worker(*store);
  EnvironmentParts parts = Parts({});
  for (const std::string name : {"a", "b"}) {
    WheelBuilder wheel;
    wheel.name = name;
    for (int i = 0; i < 100; ++i) wheel.files[fmt::format("tests/x{}.py", i)] = name;
    testing::PutWheel(*store, wheel.Locked(), wheel.Bytes());
    parts.distributions.push_back(
        {wheel.Locked(), testing::InstallPackage(*store, worker, wheel.Locked()), std::nullopt});
  }
  const std::vector<std::string> warnings = CheckEnvironment(*store, parts);
  EXPECT_EQ(warnings.size(), 21u);
  EXPECT_EQ(warnings.back(), "80 more files are hidden by others");
}

std::vector<LayerPath> Layer(const std::vector<std::string>& paths) {
  std::vector<LayerPath> layer;
  for (const std::string& path : paths) {
    const bool directory = path.ends_with('/');
    layer.push_back({path.substr(0, path.size() - (directory ? 1 : 0)), directory});
  }
  return layer;
}

// "0 a/" for each path: the layer it comes from.
std::vector<std::string> Merged(const std::vector<std::vector<std::string>>& layers) {
  std::vector<std::vector<LayerPath>> read;
  for (const auto& layer : layers) read.push_back(Layer(layer));
  std::vector<std::string> lines;
  for (const auto& [path, from] : MergeLayers(read))
    lines.push_back(std::to_string(from.layer) + " " + path + (from.is_directory ? "/" : ""));
  return lines;
}

TEST(FlatTrees, ShowWhatAnOverlayWould) {
  EXPECT_THAT(Merged({{"a/", "a/x"}, {"a/", "a/x", "a/y", "b"}}),
              ElementsAre("0 a/", "0 a/x", "1 a/y", "1 b"));
  // A file hides a directory of a layer below, with all that is in it.
  EXPECT_THAT(Merged({{"a"}, {"a/", "a/b/", "a/b/c"}, {"a/", "a/d"}}), ElementsAre("0 a"));
  // It ends one above: what is further below is not joined to that any more.
  EXPECT_THAT(Merged({{"a/", "a/x"}, {"a"}, {"a/", "a/y", "a/b/", "a/b/c"}}),
              ElementsAre("0 a/", "0 a/x"));
}

TEST(FlatTrees, HoldTheVeryFilesOfTheirPackages) {
  const testing::TemporaryDirectory directory;
  const auto store = store::Store::Open(directory.path() + "/state");
  testing::PackageWorker worker(*store);
  EnvironmentParts parts = Parts({});
  for (const char* name : {"a", "b"}) {
    WheelBuilder wheel;
    wheel.name = name;
    wheel.files = {{"shared/__init__.py", ""}, {std::string("shared/") + name + ".py", name}};
    testing::PutWheel(*store, wheel.Locked(), wheel.Bytes());
    parts.distributions.push_back(
        {wheel.Locked(), testing::InstallPackage(*store, worker, wheel.Locked()), std::nullopt});
  }
  const Environment stacked = Compose(parts);
  const Environment flat = Flatten(*store, stacked, nullptr);
  EXPECT_EQ(flat.digest, stacked.digest);
  const std::string key = FlatKey(stacked);
  EXPECT_THAT(flat.lowers, ElementsAre(store::Store::PathOf(store::Kind::kEnvironment, key),
                                       stacked.lowers.back()));
  const auto entry = store->Find(store::Kind::kEnvironment, key);
  ASSERT_TRUE(entry.has_value());
  EXPECT_THAT(LayersOf(*entry), ElementsAre(stacked.lowers[0], stacked.lowers[1]));
  const auto inode = [&](const std::string& layer, const std::string& path) {
    return base::StatAt(store->dir(), layer + "/" + kSite + path).value().st_ino;
  };
  EXPECT_EQ(inode(flat.lowers[0], "shared/b.py"), inode(stacked.lowers[1], "shared/b.py"));
  EXPECT_EQ(inode(flat.lowers[0], "shared/__init__.py"),
            inode(stacked.lowers[0], "shared/__init__.py"));
  // Another order is another tree.
  parts.preferred = {"b"};
  EXPECT_NE(FlatKey(Compose(parts)), key);
}

}  // namespace
}  // namespace rundlet::rootfs
