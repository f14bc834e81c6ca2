#include "plans/shown_text.h"

#include <gtest/gtest.h>

#include "plans/utf8.h"

namespace rundlet::plans {
namespace {

TEST(ShownText, OneLineHasNoControlCharacters) {
  EXPECT_EQ(OneLine("a\nerror: b\tc\x1b[31m"), "a error: b c?[31m");
}

TEST(ShownText, CutCountsCodePoints) {
  EXPECT_EQ(Cut("äöü", 3), "äöü");
  EXPECT_EQ(Cut("äöüx", 3), "äö…");
  EXPECT_EQ(Cut("abc", 0), "");
  EXPECT_EQ(Columns("●─x"), 3U);
}

TEST(ShownText, WrapBreaksBetweenWordsAndWithinLongOnes) {
  EXPECT_EQ(Wrap("code changed, input changed", 14),
            (std::vector<std::string>{"code changed,", "input changed"}));
  EXPECT_EQ(Wrap("abcdefgh ij", 4), (std::vector<std::string>{"abcd", "efgh", "ij"}));
  EXPECT_EQ(Wrap("", 4), (std::vector<std::string>{""}));
}

TEST(ShownText, NameSome) {
  EXPECT_EQ(NameSome({"a"}, 2), "`a`");
  EXPECT_EQ(NameSome({"a", "b"}, 2), "`a` and `b`");
  EXPECT_EQ(NameSome({"a", "b", "c", "d"}, 2), "`a`, `b` and 2 more");
  EXPECT_EQ(Count(1, "step"), "1 step");
  EXPECT_EQ(Count(0, "step"), "0 steps");
}

TEST(Utf8, TakesOnlyWellFormedText) {
  for (const std::string_view good : {"", "a", "ä", "€", "😀", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const std::string_view bad :
       {"\x80", "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xE2\x82", "\xFF"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
}

}  // namespace
}  // namespace rundlet::plans
