#include "store/disk_comparison.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fixture.h"

namespace rundlet::store {
namespace {

// A file as one side reads it.
ReadChunk Double(const std::string& content) {
  return [&content](char* bytes, uint64_t offset) {
    const size_t count =
        std::min(kComparedBytes, content.size() - std::min(content.size(), offset));
    content.copy(bytes, count, offset);
    return count;
  };
}

TEST(SameContent, ComparesEveryByte) {
  for (const size_t size : {size_t{0}, size_t{1}, kComparedBytes, 2 * kComparedBytes + 7}) {
    const std::string disk(size, 'x');
    EXPECT_TRUE(SameContent(Double(disk), Double(disk))) << size;
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      if (size == 0) continue;
      std::string memory = disk;
      memory[at] = 'y';
      EXPECT_FALSE(SameContent(Double(memory), Double(disk))) << size << " at " << at;
    }
    EXPECT_FALSE(SameContent(Double(disk), Double(disk + "x"))) << size;
    EXPECT_FALSE(SameContent(Double(disk + "x"), Double(disk))) << size;
  }
}

}  // namespace
}  // namespace rundlet::store
