// Whether memory holds of files what their disk holds.
//
// Kernel bugs have let programs write to the cached pages of files that they may only read. What is
// shared read-only is then no longer what was verified, for everybody, until the pages are read
// again; the disk is as it was, and so is every digest that is computed later.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace rundlet::store {

// Reads up to kComparedBytes at an offset; 0 at the end.
constexpr size_t kComparedBytes = size_t{1} << 20;
using ReadChunk = std::function<size_t(char* bytes, uint64_t offset)>;

bool SameContent(const ReadChunk& one, const ReadChunk& other);

// The path of the first regular file of a tree that is something else in the page cache than on its
// disk. Throws base::Error; kHost when the file system does not read past its cache.
std::optional<std::string> FirstUnlikeItsDisk(int tree);

}  // namespace rundlet::store
