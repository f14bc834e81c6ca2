#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "rootfs/worker/archives/zip.h"
#include "wheel_support.h"

namespace rundlet::rootfs::worker {
namespace {

using testing::ZipFile;
using testing::ZipMember;

std::span<const std::byte> AsBytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string WhyRefused(const std::string& bytes, const ZipLimits& limits = {}) {
  try {
    const ZipReader reader(AsBytes(bytes), limits);
    for (const ZipEntry& entry : reader.entries()) reader.ReadText(entry, 1 << 20);
  } catch (const base::Error& error) {
    return error.chain().back();
  }
  return "";
}

TEST(Zip, ReadsStoredAndDeflatedFilesAndDirectories) {
  const std::string text(100'000, 'x');
  const std::string bytes = ZipFile{
      {{.name = "a/", .mode = 040755},
       {.name = "a/b", .content = text, .mode = 0100755, .deflate = true},
       {.name = "c", .content = "stored"},
       {.name = "d", .content = text, .deflate = true, .descriptor = true},
       {.name = "\xc3\xa9",
        .content = ""}}}.Bytes();
  const ZipReader reader(AsBytes(bytes));
  ASSERT_EQ(reader.entries().size(), 5u);
  EXPECT_TRUE(reader.entries()[0].directory);
  EXPECT_EQ(reader.entries()[0].path, "a");
  EXPECT_TRUE(reader.entries()[1].executable);
  EXPECT_EQ(reader.ReadText(reader.entries()[1], 1 << 20), text);
  EXPECT_FALSE(reader.entries()[2].executable);
  EXPECT_EQ(reader.ReadText(reader.entries()[2], 6), "stored");
  EXPECT_THROW(reader.ReadText(reader.entries()[2], 5), base::Error);
  EXPECT_EQ(reader.ReadText(reader.entries()[3], 1 << 20), text);
  EXPECT_EQ(reader.ReadText(reader.entries()[4], 0), "");
}

TEST(Zip, AnEmptyArchiveHasNoEntries) {
  const std::string bytes = ZipFile().Bytes();
  EXPECT_TRUE(ZipReader(AsBytes(bytes)).entries().empty());
}

struct Case {
  const char* name;
  ZipFile zip;
  const char* why;
};

class ZipRefusal : public ::testing::TestWithParam<Case> {};

TEST_P(ZipRefusal, SaysWhy) { EXPECT_EQ(WhyRefused(GetParam().zip.Bytes()), GetParam().why); }

const ZipMember kPlain = {.name = "a", .content = "one"};

INSTANTIATE_TEST_SUITE_P(
    Archives, ZipRefusal,
    ::testing::Values(
        Case{"prefix",
             {.members = {kPlain}, .before = "MZ"},
             "there are bytes that belong to no entry, or to two"},
        Case{"gap",
             {.members = {kPlain, {.name = "b"}}, .between = "?"},
             "there are bytes that belong to no entry, or to two"},
        Case{"trailing",
             {.members = {kPlain}, .after = "?"},
             "it does not end as one (damaged, or bytes follow its end)"},
        Case{"comment",
             {.members = {kPlain}, .comment = "hello"},
             "it does not end as one (damaged, or bytes follow its end)"},
        Case{"two names",
             {.members = {{.name = "a", .content = "one", .local_name = "b"}}},
             "`a` has two headers that disagree"},
        Case{"two sizes",
             {.members = {{.name = "a", .content = "one", .local_size_error = 1}}},
             "`a` has two headers that disagree"},
        Case{"encrypted",
             {.members = {{.name = "a", .content = "one", .flags = 1}}},
             "an entry is encrypted or uses unknown features"},
        Case{"link",
             {.members = {{.name = "a", .content = "/etc", .mode = 0120777}}},
             "`a` is a link or a special file"},
        Case{"device",
             {.members = {{.name = "a", .mode = 020666}}},
             "`a` is a link or a special file"},
        Case{"full directory",
             {.members = {{.name = "a/", .content = "one", .mode = 040755}}},
             "a directory has content"},
        Case{"checksum",
             {.members = {{.name = "a", .content = "one", .crc_error = 1}}},
             "its checksum does not agree with its header"},
        Case{"too long",
             {.members =
                  {{.name = "a", .content = "onetwothree", .deflate = true, .size_error = -1}}},
             "it is longer than its header says"},
        Case{"too short",
             {.members =
                  {{.name = "a", .content = "onetwothree", .deflate = true, .size_error = 1}}},
             "it is shorter than its header says"},
        Case{"stored with two sizes",
             {.members = {{.name = "a", .content = "one", .size_error = 1}}},
             "a stored entry has two sizes"},
        Case{"second name",
             {.members =
                  {{.name = "a", .content = "one", .extra = std::string("\x75\x70\1\0x", 5)}}},
             "an entry has a second name"}),
    [](const auto& one) {
      std::string name = one.param.name;
      std::replace(name.begin(), name.end(), ' ', '_');
      return name;
    });

TEST(Zip, EveryTruncationIsRefused) {
  const std::string bytes =
      ZipFile{{kPlain, {.name = "b", .content = std::string(99, 'b'), .deflate = true}}}.Bytes();
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_NE(WhyRefused(bytes.substr(0, length)), "") << length;
  }
}

TEST(Zip, NoFlippedByteGoesUnnoticedInTheContent) {
  const std::string content(500, 'c');
  const std::string bytes = ZipFile{{{.name = "a", .content = content, .deflate = true}}}.Bytes();
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x41);
    try {
      const ZipReader reader(AsBytes(changed));
      for (const ZipEntry& entry : reader.entries())
        EXPECT_EQ(reader.ReadText(entry, 1 << 20), content);
    } catch (const base::Error&) {
      continue;
    }
  }
}

TEST(Zip, BudgetsHold) {
  const std::string zeros(1'000'000, '\0');
  const std::string bytes =
      ZipFile{{{.name = "a", .content = zeros, .deflate = true}, kPlain}}.Bytes();
  EXPECT_EQ(WhyRefused(bytes), "");
  EXPECT_EQ(WhyRefused(bytes, {.entries = 1}), "it has more than 1 entries");
  EXPECT_EQ(WhyRefused(bytes, {.bytes = 999'999}), "it holds more than 977 KiB");
  EXPECT_TRUE(WhyRefused(bytes, {.ratio = 300, .always = 1000}).starts_with("it would grow from"));
}

TEST(Zip, ReadsZip64) {
  // The same archive with saturated fields and the 64-bit end.
  std::string extra;
  const auto put = [&](uint64_t value, int count) {
    std::string bytes;
    for (int i = 0; i < count; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xff);
    return bytes;
  };
  const std::string plain = ZipFile{{kPlain}}.Bytes();
  const size_t directory = plain.find("PK\1\2");
  const size_t end = plain.size() - 22;
  std::string bytes = plain.substr(0, end);
  bytes += put(0x06064b50, 4) + put(44, 8) + put(45, 2) + put(45, 2) + put(0, 8) + put(1, 8) +
           put(1, 8) + put(end - directory, 8) + put(directory, 8);
  bytes += put(0x07064b50, 4) + put(0, 4) + put(end, 8) + put(1, 4);
  const std::string saturated = put(0x06054b50, 4) + put(0, 4) + put(0xffff, 2) + put(0xffff, 2) +
                                put(0xffffffff, 4) + put(0xffffffff, 4) + put(0, 2);
  const std::string good = bytes + saturated;
  EXPECT_EQ(WhyRefused(good), "");
  const std::string other = bytes + put(0x06054b50, 4) + put(0, 4) + put(2, 2) + put(2, 2) +
                            put(0xffffffff, 4) + put(0xffffffff, 4) + put(0, 2);
  EXPECT_EQ(WhyRefused(other), "its two ends disagree");
}

}  // namespace
}  // namespace rundlet::rootfs::worker
