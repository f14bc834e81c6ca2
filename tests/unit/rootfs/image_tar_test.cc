#include <fcntl.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "base/fs.h"
#include "image_support.h"
#include "rootfs/worker/archives/tar_reader.h"

namespace rundlet::rootfs {
namespace {

using testing::MemorySource;
using testing::TarBuilder;
using worker::TarEntry;
using worker::TarReader;
using worker::TarType;

struct Read {
  TarEntry entry;
  std::string content;
};

std::vector<Read> ReadAll(std::string_view bytes, size_t chunk = 1000) {
  MemorySource source(bytes, chunk);
  TarReader reader(source);
  std::vector<Read> all;
  while (std::optional<TarEntry> entry = reader.Next()) {
    all.push_back({std::move(*entry), ""});
    for (auto data = reader.Data(); !data.empty(); data = reader.Data()) {
      all.back().content.append(reinterpret_cast<const char*>(data.data()), data.size());
    }
  }
  return all;
}

std::string WhyRefused(const std::string& bytes) {
  try {
    ReadAll(bytes);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::kInvalid);
    return error.Render();
  }
  return "it was not refused";
}

TEST(TarReader, ReadsEntriesWhateverTheChunks) {
  const std::string tar = TarBuilder()
                              .Dir("a/")
                              .File("a/b", std::string(1300, 'x'), {.mode = 0755, .pax = {}})
                              .Symlink("l", "a/b")
                              .HardLink("h", "a/b")
                              .File("empty", "")
                              .Finish();
  for (const size_t chunk : {1u, 511u, 512u, 5000u}) {
    const auto all = ReadAll(tar, chunk);
    ASSERT_EQ(all.size(), 5u);
    EXPECT_EQ(all[0].entry.type, TarType::kDirectory);
    EXPECT_EQ(all[1].content, std::string(1300, 'x'));
    EXPECT_EQ(all[1].entry.mode, 0755u);
    EXPECT_EQ(all[1].entry.mtime.seconds, 1'000'000'000);
    EXPECT_EQ(all[1].entry.data_offset, 1024u);
    EXPECT_EQ(all[2].entry.link, "a/b");
    EXPECT_EQ(all[3].entry.type, TarType::kHardLink);
    EXPECT_EQ(all[4].entry.size, 0u);
  }
}

TEST(TarReader, SkipsWhatWasNotRead) {
  const std::string tar = TarBuilder().File("a", std::string(2000, 'x')).File("b", "y").Finish();
  MemorySource source(tar);
  TarReader reader(source);
  EXPECT_EQ(reader.Next()->path, "a");
  EXPECT_EQ(reader.Next()->path, "b");
  EXPECT_FALSE(reader.Next());
}

TEST(TarReader, ObeysPaxRecords) {
  const std::string name = "dir/" + std::string(200, 'n') + "\xc3\xa9\xff";
  const TarBuilder::Options options{.pax = {{"path", name},
                                            {"uid", "4000000"},
                                            {"mtime", "-1.25"},
                                            {"comment", "ignored"},
                                            {"SCHILY.xattr.user.x", std::string("a\0b=c\n", 6)}}};
  const auto all = ReadAll(TarBuilder().File("short", "x", options).File("next", "").Finish());
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].entry.path, name);
  EXPECT_EQ(all[0].entry.uid, 4'000'000u);
  EXPECT_EQ(all[0].entry.mtime.seconds, -2);
  EXPECT_EQ(all[0].entry.mtime.nanoseconds, 750'000'000u);
  ASSERT_EQ(all[0].entry.xattrs.size(), 1u);
  EXPECT_EQ(all[0].entry.xattrs[0].first, "user.x");
  EXPECT_EQ(all[0].entry.xattrs[0].second.size(), 6u);
  EXPECT_EQ(all[1].entry.path, "next");
}

TEST(TarReader, ObeysGnuLongNames) {
  const std::string name(300, 'n');
  const std::string link(400, 'l');
  const auto all = ReadAll(TarBuilder()
                               .Raw('L', "././@LongLink", "", 301, name + '\0')
                               .Raw('K', "././@LongLink", "", 401, link + '\0')
                               .Symlink("cut", "cut")
                               .Finish());
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].entry.path, name);
  EXPECT_EQ(all[0].entry.link, link);
}

TEST(TarReader, JoinsThePrefixOfUstar) {
  std::string tar = TarBuilder().File("name", "").Finish();
  tar.replace(345, 6, "prefix");
  int sum = 0;
  tar.replace(148, 8, "        ");
  for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(tar[i]);
  tar.replace(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  EXPECT_EQ(ReadAll(tar).at(0).entry.path, "prefix/name");
}

TEST(TarReader, EndsAtZerosOrAtTheEnd) {
  const TarBuilder tar = TarBuilder().File("a", "x");
  EXPECT_EQ(ReadAll(tar.unfinished()).size(), 1u);
  EXPECT_EQ(ReadAll(tar.unfinished() + std::string(512, '\0')).size(), 1u);
  EXPECT_EQ(ReadAll(tar.Finish() + std::string(8192, '\0')).size(), 1u);
  EXPECT_EQ(ReadAll("").size(), 0u);
}

TEST(TarReader, RefusesDamage) {
  const std::string tar = TarBuilder().File("a", std::string(1000, 'x')).Finish();
  for (const size_t size : {100u, 700u, 1023u}) {
    EXPECT_NE(WhyRefused(tar.substr(0, size)).find("cut short"), std::string::npos) << size;
  }
  std::string flipped = tar;
  flipped[5] = 'z';
  EXPECT_NE(WhyRefused(flipped).find("checksum"), std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder().Pax({{"path", "x"}}).Finish()).find("cut short"),
            std::string::npos);
}

// Each of these is read in two ways by Go, GNU tar, Python or libarchive.
TEST(TarReader, RefusesWhatProgramsDisagreeOn) {
  const std::string inner = TarBuilder().File("smuggled", "x").unfinished();
  EXPECT_NE(WhyRefused(TarBuilder().File("a", "").Raw('1', "b", "a", inner.size(), inner).Finish())
                .find("has a size"),
            std::string::npos);
  EXPECT_NE(
      WhyRefused(TarBuilder().Raw('5', "d", "", inner.size(), inner).Finish()).find("has a size"),
      std::string::npos);
  // The ustar header says 0, the pax header says more: who ignores pax reads the body as headers.
  EXPECT_NE(WhyRefused(TarBuilder()
                           .Pax({{"size", std::to_string(inner.size())}})
                           .Raw('0', "a", "", 0, inner)
                           .Finish())
                .find("two sizes"),
            std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder().Pax({{"path", "x"}}, 'g').File("a", "").Finish())
                .find("whole archive"),
            std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder().Pax({{"path", "x"}, {"path", "y"}}).File("a", "").Finish())
                .find("twice"),
            std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder().Pax({{"path", "x"}}).Pax({{"uid", "1"}}).File("a", "").Finish())
                .find("two extended headers"),
            std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder()
                           .Raw('L', "l", "", 2, std::string("x\0", 2))
                           .Pax({{"path", "y"}})
                           .File("a", "")
                           .Finish())
                .find("two kinds"),
            std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder().File("a", "").Finish() + TarBuilder().File("b", "").Finish())
                .find("behind its end"),
            std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder().File("a/", "x").Finish()).find("ends with a slash"),
            std::string::npos);
}

TEST(TarReader, ReadsSparseFiles) {
  const std::string block(512, 'x');
  const std::string listed = "2\n1024\n512\n4096\n0\n";
  const std::string list = listed + std::string(512 - listed.size(), '\0');
  const auto all = ReadAll(TarBuilder()
                               .Pax({{"GNU.sparse.major", "1"},
                                     {"GNU.sparse.minor", "0"},
                                     {"GNU.sparse.name", "one"},
                                     {"GNU.sparse.realsize", "4096"}})
                               .Raw('0', "GNUSparseFile.1/one", "", 1024, list + block)
                               .Pax({{"GNU.sparse.size", "4096"},
                                     {"GNU.sparse.numblocks", "1"},
                                     {"GNU.sparse.offset", "1024"},
                                     {"GNU.sparse.numbytes", "512"}})
                               .File("two", block)
                               .Pax({{"GNU.sparse.size", "4096"},
                                     {"GNU.sparse.numblocks", "1"},
                                     {"GNU.sparse.map", "1024,512"}})
                               .File("three", block)
                               .Finish());
  ASSERT_EQ(all.size(), 3u);
  const char* const names[] = {"one", "two", "three"};
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].entry.path, names[i]);
    EXPECT_EQ(all[i].content, block);
    ASSERT_TRUE(all[i].entry.sparse);
    EXPECT_EQ(all[i].entry.sparse->file_size, 4096u);
    EXPECT_EQ(all[i].entry.sparse->extents.at(0), (worker::TarExtent{1024, 512}));
  }
}

// Each list of parts is one that Go, GNU tar and Python would not all read in the same way.
TEST(TarReader, RefusesSparseFilesThatAreNone) {
  using Records = std::vector<std::pair<std::string, std::string>>;
  const std::string block(512, 'x');
  const auto map = [](const std::string& parts, const std::string& count) {
    return Records{
        {"GNU.sparse.size", "4096"}, {"GNU.sparse.numblocks", count}, {"GNU.sparse.map", parts}};
  };
  for (const Records& records : {
           map("0,256,1024,256", "2"),  // a part that ends inside a block
           map("0,512", "2"),           // another count
           map("0,512,", "1"),
           map("0", "1"),  // no number
           map("3800,512", "1"),
           map("1024,0,0,512", "2"),  // behind its end, out of order
           map("0,0", "1"),
           map("18446744073709551615,512", "1"),
           Records{{"GNU.sparse.map", "0,512"}, {"GNU.sparse.numblocks", "1"}},
           Records{{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.size", "9"}},
           Records{{"GNU.sparse.size", "512"},
                   {"GNU.sparse.numblocks", "1"},
                   {"GNU.sparse.numbytes", "512"},
                   {"GNU.sparse.offset", "0"}},
           Records{{"GNU.sparse.new", "1"}},
       }) {
    EXPECT_NE(WhyRefused(TarBuilder().Pax(records).File("s", block).Finish()).find("sparse file"),
              std::string::npos);
  }
  EXPECT_NE(WhyRefused(TarBuilder().Raw('S', "s", "", 0, "").Finish()).find("not one of GNU tar"),
            std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder().Pax({{"SCHILY.realsize", "1"}}).File("s", "").Finish())
                .find("star's own way"),
            std::string::npos);
}

TEST(TarReader, RefusesWhatLayersMustNotHave) {
  EXPECT_NE(WhyRefused(TarBuilder().Raw('M', "m", "", 0, "").Finish()).find("unknown type"),
            std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder().Pax({{"size", "18446744073709551615"}}).File("a", "").Finish())
                .find("larger"),
            std::string::npos);
  EXPECT_NE(WhyRefused(TarBuilder().File("", "x").Finish()).find("no name"), std::string::npos);
}

TEST(Pax, RefusesMalformedRecords) {
  for (const char* bad : {"6 a=b", "7 a=b\n", "5 a=b\n", "a=b\n", " 6 a=b\n", "-6 a=b\n", "5 =b\n",
                          "6 ab\n\n", "99999999999999999999 a=b\n", "11 uid=-10\n", "11 uid= 10\n",
                          "13 mtime=1.x\n", "10 mtime=\x01\n"}) {
    EXPECT_THROW(worker::ParsePax(bad), base::Error) << bad;
  }
  EXPECT_THROW(worker::ParsePax(std::string_view("12 path=a\0b\n", 12)), base::Error);
  EXPECT_EQ(worker::ParsePax("6 a=b\n").path, std::nullopt);
  EXPECT_EQ(worker::ParsePax("9 path=x\n").path, "x");
}

TEST(TarHeader, ReadsBinaryNumbers) {
  worker::TarBlock block{};
  const auto set = [&](size_t offset, std::string_view bytes) {
    std::memcpy(block.data() + offset, bytes.data(), bytes.size());
  };
  const auto seal = [&] {
    set(148, "        ");
    unsigned sum = 0;
    for (const std::byte byte : block) sum += std::to_integer<unsigned>(byte);
    set(148, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  };
  set(0, "x");
  set(124, std::string_view("\x80\0\0\0\0\0\0\x02\0\0\0\x01", 12));
  set(136, std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12));
  seal();
  EXPECT_EQ(worker::ParseTarHeader(block).size, (uint64_t{2} << 32) + 1);
  EXPECT_EQ(worker::ParseTarHeader(block).mtime, -2);
  set(124, std::string_view("\x80\0\x01\0\0\0\0\0\0\0\0\0", 12));
  seal();
  EXPECT_THROW(worker::ParseTarHeader(block), base::Error);
  set(124, std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12));
  seal();
  EXPECT_THROW(worker::ParseTarHeader(block), base::Error);  // a negative size
}

struct Blob {
  explicit Blob(const std::string& content) : file(base::MemoryFile("blob", content)) {
    range = {file.get(), 0, content.size()};
  }
  base::UniqueFd file;
  worker::BlobRange range;
};

TEST(BlobReader, HashesBothSidesToTheVeryEnd) {
  const std::string plain = TarBuilder().File("a", std::string(100'000, 'x')).Finish();
  for (const std::string& packed : {plain, testing::Gzip(plain), testing::Zstd(plain)}) {
    const Blob blob(packed);
    worker::BlobReader reader(blob.range, {}, worker::Digesting::kBoth);
    reader.Next();
    const auto totals = reader.Finish();
    EXPECT_EQ(totals.blob, base::Digest::Of(packed));
    EXPECT_EQ(totals.contents, base::Digest::Of(plain));
    EXPECT_EQ(totals.bytes, plain.size());
  }
  const Blob trailing(testing::Gzip(plain) + "trailing");
  worker::BlobReader reader(trailing.range, {}, worker::Digesting::kBoth);
  EXPECT_EQ(reader.Finish().blob, base::Digest::Of(testing::Gzip(plain) + "trailing"));
}

TEST(BlobReader, RefusesBombsAndDamage) {
  const std::string zeros(8 << 20, '\0');
  const Blob bomb(testing::Gzip(zeros));
  worker::BlobReader ratio(bomb.range, {.ratio = 250, .ratio_floor = 1 << 20},
                           worker::Digesting::kBoth);
  EXPECT_THROW(ratio.Finish(), base::Error);
  worker::BlobReader bytes(bomb.range, {.bytes = 1 << 20}, worker::Digesting::kBoth);
  EXPECT_THROW(bytes.Finish(), base::Error);
  const std::string packed = testing::Gzip(zeros);
  const Blob cut(packed.substr(0, packed.size() / 2));
  worker::BlobReader reader(cut.range, {}, worker::Digesting::kBoth);
  EXPECT_THROW(reader.Finish(), base::Error);
  Blob lie(packed);
  lie.range.size += 10;
  worker::BlobReader longer(lie.range, {}, worker::Digesting::kBoth);
  EXPECT_THROW(longer.Finish(), base::Error);
  const Blob empty("");
  EXPECT_EQ(worker::BlobReader(empty.range, {}, worker::Digesting::kBoth).Finish().contents,
            base::Digest::Of(""));
}

// Where several processors compressed, it begins with a frame that holds nothing of the content.
TEST(BlobReader, KnowsZstdByASkippableFrame) {
  const std::string frame("\x5f\x2a\x4d\x18\x01\0\0\0x", 9);
  const Blob blob(frame + testing::Zstd("content"));
  worker::BlobReader reader(blob.range, {}, worker::Digesting::kBoth);
  EXPECT_EQ(reader.compression(), worker::Compression::kZstd);
  EXPECT_EQ(reader.Finish().contents, base::Digest::Of("content"));
}

// One layer of compression is taken off, never two.
TEST(BlobReader, DoesNotUnpackTwice) {
  const std::string once = testing::Gzip(std::string(1000, 'x'));
  const Blob twice(testing::Gzip(once));
  EXPECT_EQ(worker::BlobReader(twice.range, {}, worker::Digesting::kBoth).Finish().contents,
            base::Digest::Of(once));
}

}  // namespace
}  // namespace rundlet::rootfs
