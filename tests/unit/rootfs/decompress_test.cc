#include "rootfs/worker/archives/decompress.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>

#include "base/error.h"
#include "image_support.h"

namespace rundlet::rootfs {
namespace {

using testing::Gzip;
using testing::MemorySource;
using testing::Zstd;

using Decompress = std::unique_ptr<worker::ByteSource>(worker::ReadCompressed read);

std::unique_ptr<worker::ByteSource> DecompressZstd(worker::ReadCompressed read) {
  return worker::DecompressZstd(std::move(read), [] { return true; });
}

std::string Unpack(Decompress decompress, std::string_view packed, size_t chunk) {
  MemorySource source(packed, chunk);
  const auto reader = decompress([&] { return source.Next(); });
  std::string all;
  for (auto bytes = reader->Next(); !bytes.empty(); bytes = reader->Next()) {
    all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return all;
}

// Half of it compresses, half of it does not.
std::string Content(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string content(size, 'x');
  for (size_t i = 0; i < size; ++i) {
    if (i / 2000 % 2 == 0) content[i] = static_cast<char>(random());
  }
  return content;
}

TEST(Gzip, ReadsMembersWhateverTheChunks) {
  std::string packed;
  std::string plain;
  unsigned seed = 0;
  for (const size_t size : {0u, 1u, 100u, 20'000u, 0u, 300'000u, 3u}) {
    const std::string content = Content(size, ++seed);
    packed += Gzip(content);
    plain += content;
  }
  for (const size_t chunk : {1u, 2u, 7u, 4096u, 1u << 18, 1u << 20}) {
    EXPECT_TRUE(Unpack(worker::DecompressGzip, packed, chunk) == plain) << chunk;
    EXPECT_TRUE(Unpack(worker::DecompressGzip, packed + "behind", chunk) == plain) << chunk;
  }
}

// RFC 1952: FEXTRA, FNAME and FCOMMENT, each ended by what it says, and FHCRC.
TEST(Gzip, PassesOverWhatAHeaderMayHold) {
  const std::string member = Gzip("content");
  const std::string fields = std::string(
                                 "\x03\x00"
                                 "abc",
                                 5) +
                             std::string("name\0comment\0\x01\x02", 15);
  const std::string packed =
      std::string("\x1f\x8b\x08\x1e", 4) + member.substr(4, 6) + fields + member.substr(10);
  for (const size_t chunk : {1u, 1000u})
    EXPECT_EQ(Unpack(worker::DecompressGzip, packed, chunk), "content");
}

TEST(Gzip, RefusesWhatIsCutOff) {
  const std::string packed = Gzip("content") + Gzip("more");
  const size_t first = Gzip("content").size();
  for (size_t size = 1; size < packed.size(); ++size) {
    if (size == first) continue;
    for (const size_t chunk : {1u, 1000u}) {
      EXPECT_THROW(Unpack(worker::DecompressGzip, packed.substr(0, size), chunk), base::Error)
          << size;
    }
  }
}

// A flipped bit is found, or was in a field that says nothing of the content.
TEST(Gzip, NeverGivesOtherContent) {
  const std::string content = Content(6'000, 1);
  const std::string packed = Gzip(content);
  size_t refused = 0;
  for (size_t bit = 0; bit < packed.size() * 8; bit += 3) {
    std::string altered = packed;
    altered[bit / 8] = static_cast<char>(altered[bit / 8] ^ (1 << bit % 8));
    try {
      // Without the first byte of a member there is none.
      EXPECT_TRUE(Unpack(worker::DecompressGzip, altered, 1000) == (bit < 8 ? "" : content)) << bit;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::kInvalid);
      ++refused;
    }
  }
  EXPECT_GT(refused, packed.size());
}

// RFC 8878, 3.1.2
std::string Skippable(char number, std::string_view held) {
  const std::string size = {static_cast<char>(held.size()), 0, 0, 0};
  return std::string{static_cast<char>(0x50 + number), 0x2a, 0x4d, 0x18} + size + std::string(held);
}

TEST(Zstd, ReadsFramesWhateverTheChunks) {
  const std::string first = Content(300'000, 1);
  const std::string packed = Skippable(0, "") + Zstd(first) + Skippable(15, "in between") +
                             Zstd("") + Zstd("second") + Skippable(7, "a table");
  for (const size_t chunk : {1u, 7u, 4096u, 1u << 20}) {
    EXPECT_TRUE(Unpack(DecompressZstd, packed, chunk) == first + "second") << chunk;
    EXPECT_THROW(Unpack(DecompressZstd, packed + "behind", chunk), base::Error);
  }
}

TEST(Zstd, RefusesWhatIsCutOff) {
  const std::string packed = Zstd("content") + Skippable(3, "held") + Zstd("more");
  const size_t first = Zstd("content").size();
  for (size_t size = 1; size < packed.size(); ++size) {
    if (size == first || size == first + Skippable(3, "held").size()) continue;
    for (const size_t chunk : {1u, 1000u}) {
      EXPECT_THROW(Unpack(DecompressZstd, packed.substr(0, size), chunk), base::Error) << size;
    }
  }
}

// RFC 8878, 3.1.1.1.2: how much of what came out is to be remembered.
std::string FrameOfWindow(unsigned log) {
  const std::string head = {0x28, '\xb5', 0x2f, '\xfd', 0, static_cast<char>((log - 10) << 3)};
  return head + std::string("\x19\0\0", 3) + "abc";  // the last block, as it is
}

TEST(Zstd, RefusesAWindowOfMoreThan32MiB) {
  EXPECT_EQ(Unpack(DecompressZstd, FrameOfWindow(25), 1000), "abc");
  EXPECT_THROW(Unpack(DecompressZstd, FrameOfWindow(26), 1000), base::Error);
}

TEST(Zstd, AsksBeforeItTakesMuchMemory) {
  int asked = 0;
  const auto unpack = [&](const std::string& packed, bool allowed) {
    MemorySource source(packed, 1000);
    const auto reader = worker::DecompressZstd([&] { return source.Next(); },
                                               [&] {
                                                 ++asked;
                                                 return allowed;
                                               });
    return std::string(reinterpret_cast<const char*>(reader->Next().data()), 3);
  };
  EXPECT_EQ(unpack(FrameOfWindow(23), false), "abc");
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(unpack(FrameOfWindow(24), true), "abc");
  EXPECT_EQ(asked, 1);
  EXPECT_THROW(unpack(FrameOfWindow(24), false), base::Error);
}

}  // namespace
}  // namespace rundlet::rootfs
