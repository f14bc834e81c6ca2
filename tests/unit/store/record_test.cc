#include "store/record.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace rundlet::store {
namespace {

constexpr char kKey[] = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";

// The bytes on disk, version 1: a change here is a change of the store's format.
constexpr char kGolden[] = R"({
 "version": 1,
 "kind": "packages",
 "key": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
 "name": "six 1.17.0",
 "output": "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35",
 "bytes": 34703,
 "files": 7,
 "created_at": 1760000000,
 "meta": "{\"tag\": \"py3-none-any\"}"
}
)";

EntryInfo Example() {
  EntryInfo info;
  info.kind = Kind::kPackage;
  info.key = kKey;
  info.name = "six 1.17.0";
  info.meta = R"({"tag": "py3-none-any"})";
  info.output = base::Digest::Of("2");
  info.bytes = 34703;
  info.files = 7;
  info.created_at = 1760000000;
  return info;
}

TEST(Record, IsWrittenInTheseBytes) { EXPECT_EQ(EncodeRecord(Example()), kGolden); }

TEST(Record, IsReadBack) {
  const auto info = DecodeRecord(Kind::kPackage, kKey, kGolden);
  ASSERT_TRUE(info);
  EXPECT_EQ(EncodeRecord(*info), kGolden);
}

TEST(Record, IsNotThatOfAnotherEntry) {
  EXPECT_FALSE(DecodeRecord(Kind::kLower, kKey, kGolden));
  EXPECT_FALSE(DecodeRecord(Kind::kPackage, std::string(64, '0'), kGolden));
}

TEST(Record, DamagedTextsAreNoRecords) {
  const std::string golden = kGolden;
  for (size_t length = 0; length + 2 < golden.size(); ++length) {
    EXPECT_FALSE(DecodeRecord(Kind::kPackage, kKey, golden.substr(0, length))) << length;
  }
  for (const char* text : {"null", "[]", "{}", "{\"version\": \"1\"}", "\xff"}) {
    EXPECT_FALSE(DecodeRecord(Kind::kPackage, kKey, text)) << text;
  }
  std::string other = golden;
  other.replace(other.find("\"version\": 1"), 12, "\"version\": 2");
  EXPECT_FALSE(DecodeRecord(Kind::kPackage, kKey, other));
}

TEST(Record, WhatCannotBeReadBackIsNotWritten) {
  EntryInfo info = Example();
  info.name = "\xff\xfe";
  EXPECT_THROW(EncodeRecord(info), base::Error);
  info = Example();
  info.meta = std::string(kRecordLimit, 'x');
  EXPECT_THROW(EncodeRecord(info), base::Error);
}

}  // namespace
}  // namespace rundlet::store
