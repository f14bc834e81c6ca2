// Wheel, package and lower entries in a real store, with the workers' code in this process.
#include "rootfs/packages/package.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/fs.h"
#include "image_support.h"
#include "rootfs/net/fetch.h"
#include "rootfs/packages/bytecode.h"
#include "rootfs/packages/compiler_protocol.h"
#include "rootfs/packages/venv.h"
#include "wheel_support.h"
#include "why_refused.h"

namespace rundlet::rootfs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::WheelBuilder;
using testing::WhyRefused;

Interpreter Python311() {
  return {"/usr/local/bin/python3.11",
          "3.11.2",
          "3.11",
          "cp311",
          "glibc 2.36",
          "/usr/local",
          "/usr/local/lib/python3.11",
          base::Digest::Of("identity")};
}

class PackageTest : public ::testing::Test {
 protected:
  store::EntryInfo Install(const WheelBuilder& wheel) {
    if (!store_->Find(store::Kind::kWheel, wheel.Locked().sha256.hex())) {
      testing::PutWheel(*store_, wheel.Locked(), wheel.Bytes());
    }
    return testing::InstallPackage(*store_, worker_, wheel.Locked());
  }
  base::UniqueFd TreeOf(const store::EntryInfo& entry) const {
    return base::OpenAt(store_->dir(), store::Store::PathOf(entry.kind, entry.key),
                        O_PATH | O_DIRECTORY);
  }
  std::string Read(const store::EntryInfo& entry, const std::string& path) const {
    return base::ReadAt(store_->dir(), store::Store::PathOf(entry.kind, entry.key) + "/" + path,
                        1 << 20);
  }
  bool Exists(const store::EntryInfo& entry, const std::string& path) const {
    return base::ExistsAt(store_->dir(), store::Store::PathOf(entry.kind, entry.key) + "/" + path);
  }
  static void Write(int tree, const std::string& path, std::string_view bytes) {
    const size_t slash = path.rfind('/');
    if (slash != path.npos) base::MakeDirs(tree, path.substr(0, slash));
    const base::UniqueFd file = base::OpenAt(tree, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    base::WriteFd(file.get(), bytes, path);
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<store::Store> store_ = store::Store::Open(directory_.path() + "/state");
  testing::PackageWorker worker_{*store_};
  const std::string site_ = "lib/python3.11/site-packages/";
};

WheelBuilder Demo() {
  WheelBuilder wheel;
  wheel.files = {{"demo/__init__.py", "x = 1\n"},
                 {"_demo.cpython-311-x86_64-linux-gnu.so", "so"},
                 {"demo.pth", "import sys\n"},
                 {"demo-1.0.dist-info/entry_points.txt", "[console_scripts]\ndemo = demo:main\n"}};
  return wheel;
}

TEST_F(PackageTest, InstallsOnceAndSaysWhatItIs) {
  const store::EntryInfo first = Install(Demo());
  EXPECT_EQ(first.name, "demo 1.0");
  EXPECT_EQ(Read(first, site_ + "demo/__init__.py"), "x = 1\n");
  const PackageMeta meta = ReadPackageMeta(first);
  EXPECT_THAT(meta.top_level, ElementsAre("_demo", "demo"));
  EXPECT_TRUE(meta.has_pth);
  EXPECT_EQ(meta.dist_info, "demo-1.0.dist-info");
  EXPECT_EQ(Install(Demo()).output, first.output);
  EXPECT_THAT(worker_.commands, ElementsAre("install-wheel"));
  std::vector<std::string> paths;
  for (const PackageFile& file : ReadPackageFiles(TreeOf(first).get(), first))
    paths.push_back(file.path);
  EXPECT_THAT(
      paths,
      ElementsAre("bin/demo", site_ + "_demo.cpython-311-x86_64-linux-gnu.so",
                  site_ + "demo-1.0.dist-info/INSTALLER", site_ + "demo-1.0.dist-info/METADATA",
                  site_ + "demo-1.0.dist-info/RECORD", site_ + "demo-1.0.dist-info/WHEEL",
                  site_ + "demo-1.0.dist-info/entry_points.txt", site_ + "demo.pth",
                  site_ + "demo/__init__.py"));
}

TEST_F(PackageTest, TheKeyIsPinned) {
  Distribution distribution;
  EXPECT_EQ(PackageKey(distribution, "3.11"),
            "d44e37cb617ea46da216bfcfafafc67c08d4f86f790dc67510d31e9f7f11b2d2");
  EXPECT_NE(PackageKey(distribution, "3.12"), PackageKey(distribution, "3.11"));
}

TEST_F(PackageTest, ABadWheelLeavesNothing) {
  WheelBuilder wheel = Demo();
  wheel.unlisted = {"demo.pth"};
  EXPECT_EQ(WhyRefused([&] { Install(wheel); }),
            "error: installing `demo 1.0` from `demo-1.0-py3-none-any.whl`\ncaused by: checking "
            "`demo.pth`\n"
            "caused by: the wheel holds it and RECORD does not list it");
  EXPECT_TRUE(store_->List(store::Kind::kPackage).empty());
  for (const base::DirEntry& entry : base::ListDir(store_->dir(), "staging"))
    EXPECT_TRUE(entry.name.starts_with('.'));
}

TEST_F(PackageTest, AWheelForAnotherPythonIsRefused) {
  Distribution distribution = Demo().Locked();
  distribution.filename = "demo-1.0-cp310-cp310-manylinux_2_17_x86_64.whl";
  EXPECT_THAT(WhyRefused([&] { testing::InstallPackage(*store_, worker_, distribution); }),
              HasSubstr("is not for Python 3.11"));
}

// A worker that was taken over by the bytes it parses cannot bring anything into the store unseen.
TEST_F(PackageTest, AWorkerThatWritesMoreThanItSaysIsCaught) {
  worker_.tamper_tree = [&](int tree) { Write(tree, site_ + "evil.py", "x"); };
  EXPECT_THAT(WhyRefused([&] { Install(Demo()); }), HasSubstr("the installer did not list it"));
}

TEST_F(PackageTest, AWorkerThatWritesOtherBytesIsCaught) {
  worker_.tamper_tree = [&](int tree) { Write(tree, site_ + "demo/__init__.py", "y = 1\n"); };
  EXPECT_THAT(WhyRefused([&] { Install(Demo()); }),
              HasSubstr("it is not what the installer listed"));
}

TEST_F(PackageTest, AWorkerThatLeavesALinkIsCaught) {
  worker_.tamper_tree = [&](int tree) { ASSERT_EQ(symlinkat("demo", tree, "link"), 0); };
  EXPECT_THAT(WhyRefused([&] { Install(Demo()); }),
              HasSubstr("neither a plain file nor a directory"));
}

TEST_F(PackageTest, AWorkerThatListsAWrongRecordIsCaught) {
  worker_.tamper_answer = [&](std::string answer) {
    auto document = nlohmann::json::parse(answer);
    for (auto& file : document["files"]) {
      if (file[0] != site_ + "demo-1.0.dist-info/RECORD") continue;
      file[1] = 0;
      file[2] = base::Digest::Of("").hex();
    }
    return document.dump();
  };
  worker_.tamper_tree = [&](int tree) { Write(tree, site_ + "demo-1.0.dist-info/RECORD", ""); };
  EXPECT_THAT(WhyRefused([&] { Install(Demo()); }),
              HasSubstr("does not list the files that are there"));
}

TEST_F(PackageTest, NonsenseFromAWorkerIsAnError) {
  const std::pair<const char*, const char*> answers[] = {
      {"", "it is not JSON"},
      {"[]", "an object is something else"},
      {"{}", "`dist_info` is missing"},
      {R"({"dist_info":1,"files":[],"libraries":[]})", "a text is something else"},
      {R"({"dist_info":"x","files":{},"libraries":[]})", "`files` is no list"},
      {R"({"dist_info":"x","files":[[1]],"libraries":[]})", "`files` holds something else"},
      {R"({"dist_info":"x","files":[["a",-1,"",true]],"libraries":[]})", "`files` holds"},
      {R"({"dist_info":"x","files":[["a",1,"00",true]],"libraries":[]})", "is no sha256 digest"},
      {R"({"dist_info":"x","files":[],"libraries":5})", "`libraries` is no list"},
      {R"({"dist_info":"x","files":[],"libraries":[["a","b","c"]]})", "`libraries` holds"},
      {R"({"dist_info":"x","files":[],"libraries":[["a","b",[1]]]})", "a text is something else"},
  };
  for (const auto& [answer, why] : answers) {
    worker_.tamper_answer = [text = answer](const std::string&) { return std::string(text); };
    const std::string refused = WhyRefused([&] { Install(Demo()); });
    EXPECT_THAT(refused, HasSubstr("reading the answer of worker `install-wheel`")) << answer;
    EXPECT_THAT(refused, HasSubstr(why)) << answer;
  }
  worker_.tamper_answer = [](const std::string&) {
    return R"({"dist_info":"../x","files":[],"libraries":[]})";
  };
  EXPECT_NE(WhyRefused([&] { Install(Demo()); }), "");
}

// What a compiler in the sandbox would write: magic, flags, hash, code.
std::string Pyc(char flags) {
  return std::string("\xa7\r\r\n", 4) + flags + std::string(11, '\0') + "code";
}

class LowerTest : public PackageTest {
 protected:
  store::EntryInfo Commit(const std::map<std::string, std::string>& written) {
    const store::EntryInfo package = Install(Demo());
    store::Staging staging = store_->NewStaging();
    MakeCompileCommand(store::Store::PathOf(package.kind, package.key), Python311(), staging);
    for (const auto& [path, bytes] : written) Write(staging.tree(), path, bytes);
    const store::Lease lease =
        store_->Make(store::Kind::kLower, LowerKey(package.key, Python311()), nullptr);
    store::NewEntry made =
        PrepareLower(TreeOf(package).get(), package, Python311(), std::move(staging));
    store::EntryInfo info = made.info;
    store_->Commit(std::move(made.staging), std::move(made.info));
    return info;
  }
  const std::string good_ = site_ + "demo/__pycache__/__init__.cpython-311.pyc";
};

TEST_F(LowerTest, HoldsThePackageAndItsBytecode) {
  const store::EntryInfo lower = Commit({{good_, Pyc(1)}});
  const store::EntryInfo package = Install(Demo());
  EXPECT_EQ(Read(lower, good_), Pyc(1));
  const auto inode = [&](const store::EntryInfo& entry) {
    return base::StatAt(store_->dir(), store::Store::PathOf(entry.kind, entry.key) + "/" + site_ +
                                           "demo/__init__.py")
        ->st_ino;
  };
  EXPECT_EQ(inode(lower), inode(package));
  EXPECT_FALSE(Exists(package, site_ + "demo/__pycache__"));
  EXPECT_EQ(ReadPackageFiles(TreeOf(lower).get(), lower).size(),
            ReadPackageFiles(TreeOf(package).get(), package).size());
  EXPECT_EQ(
      base::StatAt(store_->dir(), store::Store::PathOf(lower.kind, lower.key))->st_mode & 07777,
      0755u);
}

TEST_F(LowerTest, BytecodeMayBeMissing) {
  EXPECT_TRUE(Exists(Commit({}), site_ + "demo/__init__.py"));
}

TEST_F(LowerTest, ADoctoredInterpreterCanLeaveNothingElse) {
  const auto why = [&](const std::string& path, const std::string& bytes) {
    return WhyRefused([&] { Commit({{path, bytes}}); });
  };
  for (const std::string& path :
       {std::string("evil.py"), site_ + "demo/evil.py", site_ + "demo/__init__.py",
        site_ + "demo/__pycache__/other.cpython-311.pyc",
        site_ + "demo/__pycache__/__init__.cpython-312.pyc",
        site_ + "demo/__pycache__/.cpython-311.pyc", site_ + "__pycache__/__init__.cpython-311.pyc",
        std::string("bin/demo")}) {
    EXPECT_THAT(why(path, Pyc(1)), HasSubstr("the image's interpreter wrote it unasked")) << path;
  }
  EXPECT_THAT(why(good_, Pyc(0)), HasSubstr("not bytecode with an unchecked hash"));
  EXPECT_THAT(why(good_, Pyc(3)), HasSubstr("not bytecode with an unchecked hash"));
  EXPECT_THAT(why(good_, "short"), HasSubstr("not bytecode with an unchecked hash"));
}

TEST_F(LowerTest, ADoctoredInterpreterCanLeaveNoLinks) {
  const store::EntryInfo package = Install(Demo());
  store::Staging staging = store_->NewStaging();
  base::MakeDirs(staging.tree(), site_ + "demo/__pycache__");
  ASSERT_EQ(symlinkat("/etc/passwd", staging.tree(), good_.c_str()), 0);
  EXPECT_NE(WhyRefused([&] {
              PrepareLower(TreeOf(package).get(), package, Python311(), std::move(staging));
            }),
            "");
}

bool HaveArrived(const std::vector<std::optional<base::Error>>& failures) {
  return std::none_of(failures.begin(), failures.end(),
                      [](const auto& failure) { return failure.has_value(); });
}

TEST_F(PackageTest, FetchingPutsWheelsIntoTheStore) {
  const WheelBuilder demo = Demo();
  WheelBuilder other;
  other.name = "other";
  const Distribution first = other.Locked();
  const Distribution second = demo.Locked();
  worker_.offered = {{demo.Locked().url, demo.Bytes()}, {other.Locked().url, other.Bytes()}};
  int told = 0;
  const auto tell = [&](const WorkerProgress&) { ++told; };
  const std::vector<WantedWheel> wanted = {{.distribution = &first, .on_progress = tell},
                                           {.distribution = &second, .on_progress = tell}};
  EXPECT_TRUE(HaveArrived(FetchWheels(*store_, worker_, wanted, {}, nullptr)));
  const auto entry = store_->Find(store::Kind::kWheel, demo.Locked().sha256.hex());
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(WheelFile(*entry), "demo-1.0-py3-none-any.whl");
  EXPECT_EQ(Read(*entry, WheelFile(*entry)), demo.Bytes());
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(HaveArrived(FetchWheels(*store_, worker_, wanted, {}, nullptr)));
  EXPECT_THAT(worker_.commands, ElementsAre("fetch"));
}

TEST_F(PackageTest, AFailedDownloadIsNamedAndTheOthersStay) {
  WheelBuilder other;
  other.name = "other";
  const Distribution absent = Demo().Locked();
  const Distribution there = other.Locked();
  worker_.offered = {{there.url, other.Bytes()}};
  const auto failures = FetchWheels(
      *store_, worker_, {{.distribution = &absent}, {.distribution = &there}}, {}, nullptr);
  ASSERT_EQ(failures.size(), 2u);
  ASSERT_TRUE(failures[0].has_value());
  EXPECT_EQ(
      failures[0]->Render(),
      "error: fetching `demo 1.0` from `index.example`\ncaused by: `index.example` answers "
      "404?[2J\n"
      "hint: check the network, the proxy and the CA bundle of this host (`rundlet doctor`)\n");
  EXPECT_FALSE(failures[1].has_value());
  EXPECT_TRUE(store_->Find(store::Kind::kWheel, there.sha256.hex()).has_value());
}

TEST_F(PackageTest, AFetcherThatLiesAboutTheDigestIsCaught) {
  WheelBuilder other;
  other.name = "other";
  const Distribution changed = Demo().Locked();
  const Distribution right = other.Locked();
  worker_.offered = {{changed.url, "something else"}, {right.url, other.Bytes()}};
  const auto failures = FetchWheels(
      *store_, worker_, {{.distribution = &changed}, {.distribution = &right}}, {}, nullptr);
  ASSERT_TRUE(failures.at(0).has_value());
  EXPECT_THAT(failures[0]->Render(), HasSubstr("the lock says"));
  EXPECT_FALSE(failures.at(1).has_value());
  EXPECT_EQ(store_->List(store::Kind::kWheel).size(), 1u);
}

TEST_F(PackageTest, TheVenvIsASkeleton) {
  const std::string key = EnsureVenv(*store_, Python311());
  const auto entry = store_->Find(store::Kind::kSkeleton, key);
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(Read(*entry, "pyvenv.cfg"),
            "home = /usr/local/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n");
  const base::UniqueFd tree = base::OpenAt(
      store_->dir(), store::Store::PathOf(entry->kind, entry->key), O_RDONLY | O_DIRECTORY);
  char target[100] = {};
  ASSERT_GT(readlinkat(tree.get(), "bin/python", target, sizeof target - 1), 0);
  EXPECT_STREQ(target, "/usr/local/bin/python3.11");
  EXPECT_EQ(EnsureVenv(*store_, Python311()), key);
  Interpreter hostile = Python311();
  hostile.executable = "/usr/../python\nx";
  EXPECT_NE(WhyRefused([&] { EnsureVenv(*store_, hostile); }), "");
  hostile = Python311();
  hostile.tag = "3.11/../..";
  EXPECT_NE(WhyRefused([&] { EnsureVenv(*store_, hostile); }), "");
}

}  // namespace
}  // namespace rundlet::rootfs
