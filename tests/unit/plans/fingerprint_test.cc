#include "plans/plan/fingerprint.h"

#include <gtest/gtest.h>

namespace rundlet::plans {
namespace {

FingerprintParts Sample() {
  return {{PartKind::kStep, "", "python delays", ""},
          {PartKind::kCode, "", "c0", ""},
          {PartKind::kImage, "", "i0", "3.11.4"},
          {PartKind::kPackage, "numpy", "2.0.1", "2.0.1"},
          {PartKind::kPackage, "pandas", "2.2.2", "2.2.2"},
          {PartKind::kEnvironment, "", "e0", ""},
          {PartKind::kParameter, "year", "int 2013", "2013"},
          {PartKind::kInput, "flights", "f0", "flights"},
          {PartKind::kSelection, "flights", "s0", "flights"},
          {PartKind::kVariable, "TZ", "v0", ""},
          {PartKind::kProtocol, "", "1", ""}};
}

// Whoever changes these bytes makes every kept result unreachable.
TEST(Fingerprint, BytesArePinned) {
  EXPECT_EQ(FingerprintOf(Sample()).hex(),
            "70d01e544e2c442996d5f8a0177a6c79fcb1796309cd5c15ed51796f414b7d74");
}

TEST(Fingerprint, CoversEveryPartButPackagesAndShownText) {
  const FingerprintParts sample = Sample();
  for (size_t i = 0; i < sample.size(); ++i) {
    FingerprintParts changed = sample;
    changed[i].value += "x";
    EXPECT_EQ(FingerprintOf(changed) == FingerprintOf(sample), sample[i].kind == PartKind::kPackage)
        << i;
    changed = sample;
    changed[i].shown += "x";
    EXPECT_EQ(FingerprintOf(changed), FingerprintOf(sample)) << i;
  }
}

TEST(Changes, NoneBetweenEquals) { EXPECT_TRUE(ChangesBetween(Sample(), Sample()).empty()); }

TEST(Changes, EachPartInItsWords) {
  const std::vector<std::string> expected = {"kind of step changed",
                                             "code changed",
                                             "Python 3.11.4 -> 3.11.4x",
                                             "`numpy` 2.0.1 -> 2.0.1x",
                                             "`pandas` 2.2.2 -> 2.2.2x",
                                             "environment changed",
                                             "parameter `year` 2013 -> 2013x",
                                             "input `flights` now reads `flightsx`",
                                             "columns or filter of input `flightsx` changed",
                                             "environment variable `TZ` changed",
                                             "rundlet's step protocol changed"};
  const FingerprintParts before = Sample();
  for (size_t i = 0; i < before.size(); ++i) {
    FingerprintParts now = before;
    now[i].value += "x";
    now[i].shown += "x";
    EXPECT_EQ(ChangesBetween(before, now), std::vector<std::string>{expected[i]});
  }
}

TEST(Changes, ImageWithTheSameVersion) {
  FingerprintParts now = Sample();
  now[2].value = "i1";
  now[5].value = "e1";
  EXPECT_EQ(ChangesBetween(Sample(), now), std::vector<std::string>{"image changed"});
}

TEST(Changes, AddedAndRemoved) {
  FingerprintParts fewer = Sample();
  fewer.erase(fewer.begin() + 7, fewer.begin() + 9);  // the input and its selection
  fewer.erase(fewer.begin() + 3);                     // numpy
  fewer[4].value = "e1";
  ASSERT_EQ(fewer[4].kind, PartKind::kEnvironment);
  EXPECT_EQ(ChangesBetween(Sample(), fewer),
            (std::vector<std::string>{"`numpy` removed", "input `flights` removed"}));
  EXPECT_EQ(ChangesBetween(fewer, Sample()),
            (std::vector<std::string>{"`numpy` 2.0.1 added", "input `flights` added"}));
}

TEST(Changes, LongAndHostileValuesAreCut) {
  FingerprintParts now = Sample();
  now[6].value = "str";
  now[6].shown = "\x1b" + std::string(100, 'a');
  EXPECT_EQ(ChangesBetween(Sample(), now),
            std::vector<std::string>{"parameter `year` 2013 -> ?" + std::string(38, 'a') + "…"});
}

TEST(Record, ReadsBackWhatItWrote) { EXPECT_EQ(PartsFromJson(PartsToJson(Sample())), Sample()); }

TEST(Record, RefusesAnythingElse) {
  const std::string good =
      PartsToJson({{PartKind::kCode, "", "c", ""}, {PartKind::kImage, "", "i", ""}});
  ASSERT_EQ(good, R"({"parts":[["code","","c",""],["image","","i",""]],"version":1})");
  for (const char* bad :
       {"", "[]", "{", R"({"version":1})", R"({"parts":[],"version":2})",
        R"({"parts":{},"version":1})", R"({"parts":[["code","","c"]],"version":1})",
        R"({"parts":[["cod","","c",""]],"version":1})",
        R"({"parts":[["code","",1,""]],"version":1})",
        R"({"parts":[["image","","i",""],["code","","c",""]],"version":1})",
        R"({"parts":[["code","","c",""],["code","","c",""]],"version":1})", "\xff"}) {
    EXPECT_FALSE(PartsFromJson(bad)) << bad;
  }
}

}  // namespace
}  // namespace rundlet::plans
