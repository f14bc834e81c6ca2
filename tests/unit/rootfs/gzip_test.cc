#include <gtest/gtest.h>

#include <random>
#include <string>

#include "base/error.h"
#include "image_support.h"
#include "rootfs/worker/gzip_reader.h"

namespace rundlet::rootfs {
namespace {

using testing::Gzip;
using testing::MemorySource;

std::string Unpack(std::string_view packed, size_t chunk) {
  MemorySource source(packed, chunk);
  worker::GzipReader reader([&] { return source.Next(); });
  std::string all;
  for (auto bytes = reader.Next(); !bytes.empty(); bytes = reader.Next()) {
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

TEST(GzipReader, ReadsMembersWhateverTheChunks) {
  std::string packed;
  std::string plain;
  unsigned seed = 0;
  for (const size_t size : {0u, 1u, 100u, 20'000u, 0u, 300'000u, 3u}) {
    const std::string content = Content(size, ++seed);
    packed += Gzip(content);
    plain += content;
  }
  for (const size_t chunk : {1u, 2u, 7u, 4096u, 1u << 18, 1u << 20}) {
    EXPECT_TRUE(Unpack(packed, chunk) == plain) << chunk;
    EXPECT_TRUE(Unpack(packed + "behind", chunk) == plain) << chunk;
  }
}

// RFC 1952: FEXTRA, FNAME and FCOMMENT, each ended by what it says.
TEST(GzipReader, PassesOverWhatAHeaderMayHold) {
  const std::string member = Gzip("content");
  const std::string fields = std::string(
                                 "\x03\x00"
                                 "abc",
                                 5) +
                             std::string("name\0comment\0", 13);
  const std::string packed =
      std::string("\x1f\x8b\x08\x1c", 4) + member.substr(4, 6) + fields + member.substr(10);
  for (const size_t chunk : {1u, 1000u}) EXPECT_EQ(Unpack(packed, chunk), "content");
}

TEST(GzipReader, RefusesWhatIsCutOff) {
  const std::string packed = Gzip("content") + Gzip("more");
  const size_t first = Gzip("content").size();
  for (size_t size = 1; size < packed.size(); ++size) {
    if (size == first) continue;
    for (const size_t chunk : {1u, 1000u}) {
      EXPECT_THROW(Unpack(packed.substr(0, size), chunk), base::Error) << size;
    }
  }
}

// A flipped bit is found, or was in a field that says nothing of the content.
TEST(GzipReader, NeverGivesOtherContent) {
  const std::string content = Content(6'000, 1);
  const std::string packed = Gzip(content);
  size_t refused = 0;
  for (size_t bit = 0; bit < packed.size() * 8; bit += 3) {
    std::string altered = packed;
    altered[bit / 8] = static_cast<char>(altered[bit / 8] ^ (1 << bit % 8));
    try {
      // Without the first byte of a member there is none.
      EXPECT_TRUE(Unpack(altered, 1000) == (bit < 8 ? "" : content)) << bit;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::kInvalid);
      ++refused;
    }
  }
  EXPECT_GT(refused, packed.size());
}

}  // namespace
}  // namespace rundlet::rootfs
