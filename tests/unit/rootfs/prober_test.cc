// What is believed of an image's Python that describes itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "rootfs/images/prober_protocol.h"

namespace rundlet::rootfs {
namespace {

using ::testing::HasSubstr;

// The answer of a good one, with one field replaced.
std::string Answer(const std::string& name = {}, const std::string& value = {}) {
  std::map<std::string, std::string> fields = {{"executable", R"("/usr/bin/python3.11")"},
                                               {"version", R"("3.11.2")"},
                                               {"implementation", R"("cpython-311")"},
                                               {"libc", R"("glibc 2.36")"},
                                               {"prefix", R"("/usr")"},
                                               {"stdlib", R"("/usr/lib/python3.11")"}};
  if (!name.empty()) fields[name] = value;
  std::string text;
  for (const auto& [key, one] : fields)
    text += (text.empty() ? "{\"" : ", \"") + key + "\": " + one;
  return text + "}\n";
}

Image Probed() {
  Image image;
  image.name = "one";
  return image;
}

std::string WhyRefused(const std::string& answer) {
  try {
    ReadProbeAnswer(Probed(), answer);
  } catch (const base::Error& error) {
    return error.Render();
  }
  return {};
}

TEST(ProbeAnswers, DescribeAnInterpreter) {
  const Interpreter interpreter = ReadProbeAnswer(Probed(), Answer());
  EXPECT_EQ(interpreter.executable, "/usr/bin/python3.11");
  EXPECT_EQ(interpreter.version, "3.11.2");
  EXPECT_EQ(interpreter.tag, "3.11");
  EXPECT_EQ(interpreter.abi, "cp311");
  EXPECT_EQ(interpreter.libc, "glibc 2.36");
  EXPECT_EQ(interpreter.prefix, "/usr");
  EXPECT_EQ(interpreter.stdlib, "/usr/lib/python3.11");
}

TEST(ProbeAnswers, AreRefused) {
  for (const char* text : {"", "[]", "null", "{", "\"x\""})
    EXPECT_THAT(WhyRefused(text), HasSubstr("something else than was asked")) << text;
  EXPECT_THAT(WhyRefused("{}"), HasSubstr("does not tell its executable"));
  EXPECT_THAT(WhyRefused(Answer("libc", "1")), HasSubstr("does not tell its libc"));
  EXPECT_THAT(WhyRefused(Answer("libc", R"("a\u001b[31m")")), HasSubstr("an impossible libc"));
  EXPECT_THAT(WhyRefused(Answer("libc", "\"" + std::string(512, 'x') + "\"")),
              HasSubstr("an impossible libc"));
  for (const char* path : {R"("python3")", R"("/usr/../python3")", R"("/")", R"("/a//b")"})
    EXPECT_THAT(WhyRefused(Answer("executable", path)), HasSubstr("executable")) << path;
  for (const char* version : {R"("3.11")", R"("3.11.x")", R"("3..2")", R"("3.11.2000")"})
    EXPECT_THAT(WhyRefused(Answer("version", version)), HasSubstr("version")) << version;
  EXPECT_THAT(WhyRefused(Answer("implementation", R"("pypy39")")),
              HasSubstr("its python3 is `pypy39`; only CPython is supported"));
  EXPECT_THAT(WhyRefused(Answer("version", R"("3.12.0")")), HasSubstr("only CPython"));
}

}  // namespace
}  // namespace rundlet::rootfs
