// The small text formats of a wheel: names, versions, RECORD, METADATA, WHEEL, entry points, paths.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/formats/wheel_entry_points.h"
#include "rootfs/formats/wheel_metadata.h"
#include "rootfs/formats/wheel_name.h"
#include "rootfs/formats/wheel_paths.h"
#include "rootfs/formats/wheel_record.h"

namespace rundlet::rootfs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename Function>
std::string EndsOfRefusal(Function&& function) {
  try {
    function();
  } catch (const base::Error& error) {
    return error.chain().front() + ": " + error.chain().back();
  }
  return "";
}

TEST(WheelNames, NormaliseAsPep503) {
  EXPECT_EQ(NormaliseName("Zope.Interface"), "zope-interface");
  EXPECT_EQ(NormaliseName("a-_-.b"), "a-b");
  for (const char* good : {"a", "A1", "python_dateutil", "a.b-c"})
    EXPECT_TRUE(IsProjectName(good)) << good;
  for (const char* bad : {"", "-a", "a-", "a b", "a/b", "..", "\xc3\xa9"})
    EXPECT_FALSE(IsProjectName(bad)) << bad;
}

TEST(WheelNames, VersionsInOtherSpellingsAreEqual) {
  EXPECT_EQ(CanonicalVersion("v1.0.0-RC.1"), CanonicalVersion("1rc1"));
  EXPECT_EQ(CanonicalVersion("1.0-1"), "1.post1");
  EXPECT_EQ(CanonicalVersion("2.9.0.post0"), "2.9.post0");
  EXPECT_EQ(CanonicalVersion("1.0alpha"), "1a0");
  EXPECT_EQ(CanonicalVersion("1!2.0.dev03+CPU_1"), "1!2.dev3+cpu.1");
  EXPECT_EQ(CanonicalVersion("2024.01"), CanonicalVersion("2024.1"));
  EXPECT_NE(CanonicalVersion("1.10"), CanonicalVersion("1.1"));
  EXPECT_EQ(CanonicalVersion("Nonsense-X"), "nonsense-x");
}

TEST(WheelNames, FileNamesHaveFiveOrSixParts) {
  const WheelName name = ParseWheelName("python_dateutil-2.9.0.post0-1b-py2.py3-none-any.whl");
  EXPECT_EQ(name.name, "python-dateutil");
  EXPECT_EQ(name.version, "2.9.0.post0");
  EXPECT_EQ(name.build, "1b");
  EXPECT_THAT(name.python_tags, ElementsAre("py2", "py3"));
  for (const char* bad :
       {"a.whl", "a-1-py3-none.whl", "a-1-py3-none-any.zip", "a--py3-none-any.whl",
        "../a-1-py3-none-any.whl", "a-1-2-3-py3-none-any.whl", "a b-1-py3-none-any.whl"}) {
    EXPECT_THROW(ParseWheelName(bad), base::Error) << bad;
  }
}

TEST(WheelNames, TagsThatCanNeverWorkAreRefused) {
  const auto fits = [](const std::string& tags, const char* python = "3.11") {
    return FitsInterpreter(ParseWheelName("a-1-" + tags + ".whl"), python, "x86_64");
  };
  EXPECT_TRUE(fits("py3-none-any"));
  EXPECT_TRUE(fits("py2.py3-none-any"));
  EXPECT_TRUE(fits("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"));
  EXPECT_TRUE(fits("cp37-abi3-musllinux_1_1_x86_64"));
  EXPECT_TRUE(fits("py3-none-linux_x86_64"));
  EXPECT_FALSE(fits("cp310-cp310-manylinux_2_17_x86_64"));
  EXPECT_FALSE(fits("cp312-abi3-manylinux_2_17_x86_64"));
  EXPECT_FALSE(fits("cp313-cp313t-manylinux_2_17_x86_64", "3.13"));
  EXPECT_FALSE(fits("cp311-cp311-macosx_11_0_x86_64"));
  EXPECT_FALSE(fits("cp311-cp311-manylinux_2_17_aarch64"));
  EXPECT_FALSE(fits("py2-none-any"));
}

TEST(WheelRecord, GoldenBytes) {
  const base::Digest empty = base::Digest::Of("");
  const std::string text = FormatRecord({{"six.py", empty, 0},
                                         {"a,\"b\".py", base::Digest::Of("x"), 1},
                                         {"six-1.dist-info/RECORD", std::nullopt, std::nullopt}});
  EXPECT_EQ(text,
            "\"a,\"\"b\"\".py\",sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1\n"
            "six-1.dist-info/RECORD,,\n"
            "six.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n");
  EXPECT_EQ(FormatRecord(ParseRecord(text)), text);
}

TEST(WheelRecord, TakesWhatBuildToolsWrite) {
  const auto rows = ParseRecord(
      "a.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=,0\r\n\"b.py\",,\r\n\r\n\n");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].sha256, base::Digest::Of(""));
  EXPECT_EQ(rows[1].path, "b.py");
  EXPECT_FALSE(rows[1].size.has_value());
  EXPECT_TRUE(ParseRecord("").empty());
  EXPECT_EQ(ParseRecord("a,,").size(), 1u);  // no line end at the end
}

TEST(WheelRecord, RefusesTheRestAndNamesTheLine) {
  const auto why = [](const char* text) { return EndsOfRefusal([&] { ParseRecord(text); }); };
  EXPECT_EQ(why("a,,\nb,\n"), "reading line 2 of RECORD: there are fewer than three fields");
  EXPECT_THAT(why("a,,,\n"), HasSubstr("more than three fields"));
  EXPECT_THAT(why("a\"b,,\n"), HasSubstr("stray quote"));
  EXPECT_THAT(why("\"a,,\n"), HasSubstr("not closed"));
  EXPECT_THAT(why("a,md5=abc,1\n"), HasSubstr("`md5=abc` is not a sha256"));
  EXPECT_THAT(why("a,sha256=abc,1\n"), HasSubstr("malformed"));
  EXPECT_THAT(why("a,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFV,1\n"),
              HasSubstr("malformed"));
  EXPECT_THAT(why("a,,-1\n"), HasSubstr("size is malformed"));
  EXPECT_THAT(why("a,,99999999999999999999\n"), HasSubstr("size is malformed"));
  EXPECT_THAT(why(",,\n"), HasSubstr("empty"));
  EXPECT_THAT(why("a\x1b[2J,,\n"), HasSubstr("control character"));
}

TEST(WheelMetadata, ReadsNameAndVersion) {
  const WheelMetadata metadata =
      ParseMetadata("Metadata-Version: 2.1\r\nNAME: Six\r\nVersion: 1.17.0\r\n\r\nName: no\n");
  EXPECT_EQ(metadata.name, "Six");
  EXPECT_EQ(metadata.version, "1.17.0");
  EXPECT_THROW(ParseMetadata("Name: six\n"), base::Error);
  EXPECT_THROW(ParseMetadata("Name: six\nName: other\nVersion: 1\n"), base::Error);
  EXPECT_THROW(ParseMetadata("Name: s/x\nVersion: 1\n"), base::Error);
  EXPECT_THROW(ParseMetadata(std::string_view("Name: six\nVersion: 1\n\0", 22)), base::Error);
}

TEST(WheelMetadata, KnowsOneWheelFormat) {
  EXPECT_FALSE(ParseWheelFormat("Wheel-Version: 1.9\nRoot-Is-Purelib: false\n").root_is_purelib);
  EXPECT_THROW(ParseWheelFormat("Wheel-Version: 2.0\nRoot-Is-Purelib: true\n"), base::Error);
  EXPECT_THROW(ParseWheelFormat("Wheel-Version: 1.0\nRoot-Is-Purelib: perhaps\n"), base::Error);
  EXPECT_THROW(ParseWheelFormat("Root-Is-Purelib: true\n"), base::Error);
}

TEST(WheelEntryPoints, ReadsScriptsOfBothKindsAndSkipsPlugins) {
  const auto scripts = ParseEntryPoints(
      "# comment\n[plugins]\nx = a b c\n  more = of it\nname with spaces = anything at all\n\n"
      "[console_scripts]\nf2py = numpy.f2py.f2py2e:main\n  \n; comment\nb=pkg:Class.method "
      "[extra]\r\n"
      "[gui_scripts]\n    a-x = pkg:main\n");
  EXPECT_THAT(scripts, ElementsAre(EntryPointScript{"a-x", "pkg", "main"},
                                   EntryPointScript{"b", "pkg", "Class.method"},
                                   EntryPointScript{"f2py", "numpy.f2py.f2py2e", "main"}));
}

TEST(WheelEntryPoints, IndentedListsAreLists) {
  EXPECT_THAT(ParseEntryPoints("[console_scripts]\n    a = p:f\n    b = p:g\n"),
              ElementsAre(EntryPointScript{"a", "p", "f"}, EntryPointScript{"b", "p", "g"}));
}

TEST(WheelEntryPoints, RefusesWhatCouldNotBeAScript) {
  const auto why = [](const std::string& line) {
    return EndsOfRefusal([&] { ParseEntryPoints("[console_scripts]\n" + line + "\n"); });
  };
  EXPECT_THAT(why("../a = p:f"), HasSubstr("cannot be the name of a script"));
  EXPECT_THAT(why("a/b = p:f"), HasSubstr("cannot be the name of a script"));
  EXPECT_THAT(why("-a = p:f"), HasSubstr("cannot be the name of a script"));
  EXPECT_THAT(why("a = p"), HasSubstr("not `module:function`"));
  EXPECT_THAT(why("a = p:f()"), HasSubstr("not `module:function`"));
  EXPECT_THAT(why("a = p;import os:f"), HasSubstr("not `module:function`"));
  EXPECT_THAT(why("a"), HasSubstr("no `=`"));
  EXPECT_THAT(why("a = p:f\n  more"), HasSubstr("several lines"));
  EXPECT_THAT(why("a = p:f\na = p:g"), HasSubstr("twice"));
  EXPECT_EQ(why("a = p:f\na = p:f"), "");
}

TEST(WheelEntryPoints, GoldenScript) {
  EXPECT_EQ(ScriptText({"x", "pkg.mod", "Class.run"}, "/env/bin/python"),
            "#!/env/bin/python\n# -*- coding: utf-8 -*-\nimport sys\nfrom pkg.mod import Class\n"
            "if __name__ == \"__main__\":\n    if sys.argv[0].endswith(\"-script.pyw\"):\n"
            "        sys.argv[0] = sys.argv[0][:-11]\n    elif sys.argv[0].endswith(\".exe\"):\n"
            "        sys.argv[0] = sys.argv[0][:-4]\n    sys.exit(Class.run())\n");
}

const WheelLayout kLayout{"demo-1.dist-info", "demo-1.data", "demo", "3.11"};

TEST(WheelPaths, SchemesHaveTheirPlaces) {
  const auto place = [](const char* path) { return PlaceWheelFile(kLayout, path).path; };
  EXPECT_EQ(place("demo/x.py"), "lib/python3.11/site-packages/demo/x.py");
  EXPECT_EQ(place("demo-1.data/purelib/x.py"), "lib/python3.11/site-packages/x.py");
  EXPECT_EQ(place("demo-1.data/platlib/x.so"), "lib/python3.11/site-packages/x.so");
  EXPECT_EQ(place("demo-1.data/scripts/run"), "bin/run");
  EXPECT_EQ(place("demo-1.data/data/share/x"), "share/x");
  EXPECT_EQ(place("demo-1.data/data/lib64/x"), "lib/x");
  EXPECT_EQ(place("demo-1.data/headers/x.h"), "include/site/python3.11/demo/x.h");
  EXPECT_EQ(PlaceWheelFile(kLayout, "demo-1.dist-info/RECORD").kind, WheelFileKind::kRecord);
  EXPECT_EQ(PlaceWheelFile(kLayout, "demo/__pycache__/x.cpython-311.pyc").kind,
            WheelFileKind::kDropped);
  EXPECT_EQ(PlaceWheelFile(kLayout, "demo-1.dist-info/INSTALLER").kind, WheelFileKind::kDropped);
}

TEST(WheelPaths, NothingLeadsOutOrReplacesTheEnvironment) {
  for (const char* bad : {"/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\\..\\b", "a\nb",
                          "\xff", "\xed\xa0\x80", "", "demo-1.data/data/../x",
                          "demo-1.data/elsewhere/x", "demo-1.data/x", "demo-1.data/data/pyvenv.cfg",
                          "demo-1.data/scripts/python", "demo-1.data/scripts/python3.11",
                          "demo-1.data/data/bin/python3", "demo-1.data/data/lib64"}) {
    EXPECT_THROW(PlaceWheelFile(kLayout, bad), base::Error) << bad;
  }
  EXPECT_EQ(PlaceWheelFile(kLayout, "demo-1.data/scripts/python-tool").path, "bin/python-tool");
}

TEST(WheelPaths, RecordPathsThereAndBack) {
  for (const char* path : {"bin/x", "lib/python3.11/site-packages/a/b.py", "share/y"}) {
    EXPECT_EQ(PathOfRecord(kLayout, RecordPath(kLayout, path)), path);
  }
  EXPECT_EQ(RecordPath(kLayout, "bin/x"), "../../../bin/x");
  EXPECT_THROW(PathOfRecord(kLayout, "../../../../etc/passwd"), base::Error);
  EXPECT_THROW(PathOfRecord(kLayout, "../x"), base::Error);
}

}  // namespace
}  // namespace rundlet::rootfs
