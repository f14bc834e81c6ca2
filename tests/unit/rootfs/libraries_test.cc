// Shared libraries: what ELF files ask for, and what of it is missing.
#include "rootfs/packages/libraries.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "base/fs.h"
#include "rootfs/worker/wheels/elf.h"

namespace rundlet::rootfs {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::byte> FileBytes(const char* path) {
  const base::UniqueFd file = base::OpenHostPath(path, O_RDONLY);
  const std::string text = base::ReadFd(file.get(), size_t{1} << 30, path);
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return {bytes, bytes + text.size()};
}

// This very program, large with sanitizers in it, is the sample: whatever built it linked it
// against the C library.
TEST(ElfNeeds, OfThisProgram) {
  const std::vector<std::byte> bytes = FileBytes("/proc/self/exe");
  const auto needs = worker::ReadElfNeeds(bytes);
  ASSERT_TRUE(needs.has_value());
  EXPECT_THAT(needs->needed, Contains("libc.so.6"));
  EXPECT_EQ(needs->soname, "");
}

TEST(ElfNeeds, OfATruncatedFileAreNone) {
  const std::vector<std::byte> bytes = FileBytes("/proc/self/exe");
  for (const size_t size : {size_t{0}, size_t{4}, size_t{63}, size_t{64}, size_t{200}}) {
    EXPECT_EQ(worker::ReadElfNeeds(std::span(bytes).first(size)), std::nullopt) << size;
  }
  const std::string text = "#!/bin/sh\n" + std::string(100, 'x');
  EXPECT_EQ(worker::ReadElfNeeds(std::as_bytes(std::span(text))), std::nullopt);
}

PackageMeta Package(const std::string& name, std::vector<SharedLibrary> libraries) {
  return {name, "1.0", "3.11", name + "-1.0.dist-info", {}, false, std::move(libraries)};
}

TEST(MissingLibraries, AreThoseThatNobodyHas) {
  const std::vector<PackageMeta> packages = {
      Package("a", {{"lib/a/_a.so", "", {"libc.so.6", "libGL.so.1", "libb.so.2", "libc2.so"}},
                    {"lib/a/_b.so", "", {"libGL.so.1", "libcuda.so.1"}}}),
      Package("b", {{"lib/b/libb.so.2", "libb.so.2", {}}, {"lib/b/libc2.so", "other", {}}})};
  EXPECT_THAT(FindMissingLibraries(packages, {"libc.so.6"}, "glibc 2.36"),
              ElementsAre(MissingLibrary{"libGL.so.1", "a 1.0", "lib/a/_a.so"}));
  EXPECT_THAT(FindMissingLibraries(packages, {"libGL.so.1", "libc.so.6"}, "glibc 2.36"), IsEmpty());
}

TEST(MissingLibraries, AreNoPartsOfMusl) {
  const std::vector<PackageMeta> packages = {
      Package("a", {{"lib/a/_a.so", "", {"libc.so", "libc.musl-x86_64.so.1", "libcrypt.so.1"}}})};
  EXPECT_THAT(FindMissingLibraries(packages, {}, "musl"),
              ElementsAre(MissingLibrary{"libcrypt.so.1", "a 1.0", "lib/a/_a.so"}));
  EXPECT_EQ(FindMissingLibraries(packages, {}, "glibc 2.36").size(), 3U);
}

}  // namespace
}  // namespace rundlet::rootfs
