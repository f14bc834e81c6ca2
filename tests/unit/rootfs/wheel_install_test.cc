#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fs.h"
#include "image_support.h"
#include "rootfs/formats/wheel_record.h"
#include "rootfs/worker/wheels/install_wheel.h"
#include "wheel_support.h"

namespace rundlet::rootfs::worker {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryDirectory;
using testing::WheelBuilder;

class WheelInstall : public ::testing::Test {
 protected:
  InstallReport Install(const WheelBuilder& wheel) {
    const std::string bytes = wheel.Bytes();
    return InstallWheelInto(std::as_bytes(std::span(bytes.data(), bytes.size())),
                            {NormaliseName(wheel.name), wheel.version, "3.11"}, out_.fd());
  }
  std::string WhyRefused(const WheelBuilder& wheel) {
    try {
      Install(wheel);
    } catch (const base::Error& error) {
      return error.chain().front() + ": " + error.chain().back();
    }
    return "";
  }
  std::string Read(const std::string& path) const { return base::ReadAt(out_.fd(), path, 1 << 20); }
  bool Runs(const std::string& path) const {
    return (base::StatAt(out_.fd(), path)->st_mode & 0111) != 0;
  }

  TemporaryDirectory out_;
  const std::string site_ = "lib/python3.11/site-packages/";
};

TEST_F(WheelInstall, FollowsTheSpecification) {
  WheelBuilder wheel;
  wheel.files = {{"demo/__init__.py", "x = 1\n"},
                 {"demo/tool.sh", "echo\n"},
                 {"demo/__pycache__/__init__.cpython-311.pyc", "foreign"},
                 {"demo-1.0.data/scripts/run", "#!python -E\nprint()\n"},
                 {"demo-1.0.data/scripts/native",
                  "\x7f"
                  "ELF"},
                 {"demo-1.0.data/scripts/demo", "#!python\nold\n"},
                 {"demo-1.0.data/data/share/demo.txt", "data"},
                 {"demo-1.0.data/data/top.txt", "top"},
                 {"demo-1.0.dist-info/INSTALLER", "pip\n"},
                 {"demo-1.0.dist-info/entry_points.txt", "[console_scripts]\ndemo = demo:main\n"}};
  wheel.executable = {"demo/tool.sh"};
  const InstallReport report = Install(wheel);
  EXPECT_EQ(report.dist_info, "demo-1.0.dist-info");
  EXPECT_EQ(Read(site_ + "demo/__init__.py"), "x = 1\n");
  EXPECT_TRUE(Runs(site_ + "demo/tool.sh"));
  EXPECT_FALSE(Runs(site_ + "demo/__init__.py"));
  EXPECT_FALSE(base::ExistsAt(out_.fd(), site_ + "demo/__pycache__"));
  EXPECT_EQ(Read("bin/run"), "#!/env/bin/python -E\nprint()\n");
  EXPECT_TRUE(Runs("bin/run"));
  EXPECT_EQ(Read("bin/native"),
            "\x7f"
            "ELF");
  EXPECT_TRUE(Runs("bin/native"));
  EXPECT_THAT(Read("bin/demo"), HasSubstr("from demo import main"));
  EXPECT_EQ(Read("share/demo.txt"), "data");
  EXPECT_EQ(Read("top.txt"), "top");
  EXPECT_EQ(Read(site_ + "demo-1.0.dist-info/INSTALLER"), "rundlet\n");
  EXPECT_FALSE(base::ExistsAt(out_.fd(), site_ + "demo-1.0.data"));
}

TEST_F(WheelInstall, RecordListsWhatIsThere) {
  WheelBuilder wheel;
  wheel.files = {{"demo.py", "x"}, {"demo-1.0.data/scripts/run", "#!python\n"}};
  const InstallReport report = Install(wheel);
  const auto rows = ParseRecord(Read(site_ + "demo-1.0.dist-info/RECORD"));
  EXPECT_EQ(rows.size(), report.files.size());
  for (const RecordRow& row : rows) {
    if (row.path.ends_with("RECORD")) continue;
    const std::string path =
        row.path.starts_with("../../../") ? row.path.substr(9) : site_ + row.path;
    EXPECT_EQ(base::Digest::Of(Read(path)), row.sha256) << path;
    EXPECT_EQ(Read(path).size(), row.size) << path;
  }
}

TEST_F(WheelInstall, ContentThatIsNotRecordsIsRefused) {
  WheelBuilder wheel;
  wheel.files = {{"demo.py", "x"}};
  wheel.unlisted = {"demo.py"};
  wheel.more_record = "demo.py,sha256=" + Base64Of(base::Digest::Of("y")) + ",1\n";
  EXPECT_EQ(WhyRefused(wheel), "checking `demo.py`: its content is not what RECORD says");
}

TEST_F(WheelInstall, AFileThatRecordDoesNotListIsRefused) {
  WheelBuilder wheel;
  wheel.files = {{"demo.py", "x"}, {"evil.pth", "import os"}};
  wheel.unlisted = {"evil.pth"};
  EXPECT_EQ(WhyRefused(wheel),
            "checking `evil.pth`: the wheel holds it and RECORD does not list it");
}

TEST_F(WheelInstall, AListedFileThatIsNotThereIsRefused) {
  WheelBuilder wheel;
  wheel.more_record = "gone.py,sha256=" + Base64Of(base::Digest::Of("")) + ",0\n";
  EXPECT_EQ(WhyRefused(wheel),
            "checking `gone.py`: RECORD lists it and the wheel does not hold it");
}

TEST_F(WheelInstall, FilesWithoutAHashAreRefused) {
  WheelBuilder wheel;
  wheel.files = {{"demo.py", "x"}};
  wheel.unlisted = {"demo.py"};
  wheel.more_record = "demo.py,,\n";
  EXPECT_EQ(WhyRefused(wheel), "checking `demo.py`: RECORD has no hash for it");
}

TEST_F(WheelInstall, PathsThatLeadOutAreRefused) {
  for (const char* path : {"../evil.py", "/etc/evil", "demo-1.0.data/data/../../evil", "a\\b"}) {
    WheelBuilder wheel;
    wheel.files = {{path, "x"}};
    EXPECT_NE(WhyRefused(wheel), "") << path;
  }
  EXPECT_FALSE(base::ExistsAt(out_.fd(), "evil"));
}

TEST_F(WheelInstall, TwoFilesInOnePlaceAreRefused) {
  WheelBuilder wheel;
  wheel.files = {{"demo.py", "x"}, {"demo-1.0.data/purelib/demo.py", "x"}};
  EXPECT_THAT(WhyRefused(wheel), HasSubstr("two files of the wheel are installed there"));
}

TEST_F(WheelInstall, AFileWhereAFolderIsNeededIsRefused) {
  WheelBuilder wheel;
  wheel.files = {{"demo", "x"}, {"demo/x.py", "x"}};
  EXPECT_THAT(WhyRefused(wheel), HasSubstr("site-packages/demo` is a file of the wheel"));
}

TEST_F(WheelInstall, AnotherDistributionIsRefused) {
  WheelBuilder wheel;
  wheel.metadata = "Name: other\nVersion: 1.0\n";
  EXPECT_THAT(WhyRefused(wheel), HasSubstr("it is of `other 1.0`, not of `demo 1.0`"));
  wheel.metadata = "Name: Demo\nVersion: 1.0.0\n";  // the same in another spelling
  EXPECT_EQ(WhyRefused(wheel), "");
}

TEST_F(WheelInstall, TwoDistInfoFoldersAreRefused) {
  WheelBuilder wheel;
  wheel.files = {{"other-2.dist-info/METADATA", "x"}};
  EXPECT_THAT(WhyRefused(wheel), HasSubstr("the wheel holds 2 of them, not one"));
}

TEST_F(WheelInstall, AScriptMayNotReplaceTheInterpreter) {
  WheelBuilder wheel;
  wheel.files = {
      {"demo-1.0.dist-info/entry_points.txt", "[console_scripts]\npython3 = demo:main\n"}};
  EXPECT_THAT(WhyRefused(wheel), HasSubstr("`bin/python3` belongs to the environment itself"));
}

TEST_F(WheelInstall, AFutureFormatIsRefused) {
  WheelBuilder wheel;
  wheel.wheel = "Wheel-Version: 2.0\nRoot-Is-Purelib: true\n";
  EXPECT_THAT(WhyRefused(wheel), HasSubstr("wheel format 2.0 is not known"));
}

}  // namespace
}  // namespace rundlet::rootfs::worker
