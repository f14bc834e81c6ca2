#include "base/text.h"

#include <gtest/gtest.h>

namespace rundlet::base {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Text, HumanSizesAndTimes) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(uint64_t{300} << 20), "300 MiB");
  EXPECT_EQ(HumanDuration(microseconds(400)), "0.40 ms");
  EXPECT_EQ(HumanDuration(milliseconds(250)), "250 ms");
  EXPECT_EQ(HumanDuration(seconds(130)), "2 min 10 s");
}

TEST(Text, SuggestsOnlyCloseWords) {
  EXPECT_EQ(ClosestWord("fligths", {"flights", "delays"}), "flights");
  EXPECT_EQ(ClosestWord("zzz", {"flights", "delays"}), "");
}

TEST(Text, PrintableRemovesEscapes) { EXPECT_EQ(Printable("a\x1b[31mb\n\tc\r"), "a?[31mb\n\tc?"); }

TEST(Text, PrintableKnowsTheControlCharactersOfUtf8) {
  EXPECT_EQ(Printable("a\xc2\x9b"
                      "31mb\xc2\x85"),
            "a??31mb??");
  // Others of that length, the same bytes elsewhere, and the beginning of one at the end.
  for (const char* text : {"\xc2\xa0", "\xc3\x9b", "\xe2\x82\x9b", "\xc2"})
    EXPECT_EQ(Printable(text), text);
}

}  // namespace
}  // namespace rundlet::base
