#include "plans/invalid_pipeline.h"

#include <gtest/gtest.h>

namespace rundlet::plans {
namespace {

TEST(InvalidPipeline, TellsProblemsByFileAndLineOnceEach) {
  const InvalidPipeline error(
      {{.file = "b.py", .line = 1, .message = "third"},
       {.file = "a.py", .line = 12, .column = 3, .message = "second", .cause = "c", .hint = "h"},
       {.file = "a.py", .line = 2, .message = "first"},
       {.file = "a.py", .line = 2, .message = "first"}});
  EXPECT_EQ(error.fault(), base::Fault::kInvalid);
  EXPECT_EQ(error.Render(),
            "error: a.py:2: first\n"
            "error: a.py:12:3: second\ncaused by: c\nhint: h\n"
            "error: b.py:1: third\n");
}

TEST(InvalidPipeline, ShowsTwentyAndCountsTheRest) {
  std::vector<Problem> problems;
  for (uint32_t line = 1; line <= 25; ++line)
    problems.push_back({.file = "a.py", .line = line, .message = "m"});
  const InvalidPipeline error(problems);
  EXPECT_EQ(error.problems().size(), 25U);
  const std::string text = error.Render();
  EXPECT_NE(text.find("a.py:20: m\nand 5 more\n"), text.npos);
  EXPECT_EQ(text.find("a.py:21"), text.npos);
}

TEST(InvalidPipeline, OutsidersTextCannotForgeLinesOrColours) {
  const InvalidPipeline error(
      {{.file = "a\nerror: x.py", .message = "m\x1b[2J\nhint: run this", .cause = "\r"}});
  EXPECT_EQ(error.Render(), "error: a error: x.py: m?[2J hint: run this\ncaused by: ?\n");
}

}  // namespace
}  // namespace rundlet::plans
