// File names of wheels, which an index, a lock or a user gives: refused in words, or parts of which
// paths and keys are made.
#include <cstdint>
#include <string>
#include <string_view>

#include "rootfs/formats/distribution.h"
#include "rootfs/formats/wheel_name.h"
#include "tests/fuzz/check.h"

namespace {

using namespace rundlet::rootfs;  // NOLINT(build/namespaces): a program of two functions
using rundlet::fuzz::Require;

void RequirePlain(const std::string& text) {
  Require(text.find_first_of(std::string_view("/\\\n \0", 5)) == text.npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  rundlet::fuzz::Try([input] {
    const WheelName wheel = ParseWheelName(input);
    Require(!wheel.name.empty() && !wheel.version.empty());
    RequirePlain(wheel.name);
    RequirePlain(wheel.version);
    Require(NormaliseName(wheel.name) == wheel.name);
    Require(CanonicalVersion(CanonicalVersion(wheel.version)) == CanonicalVersion(wheel.version));
    for (const auto* tags : {&wheel.python_tags, &wheel.abi_tags, &wheel.platform_tags}) {
      Require(!tags->empty());
      for (const std::string& tag : *tags) RequirePlain(tag);
    }
    FitsInterpreter(wheel, "3.11", "x86_64");
    Require(!IsPreferred(wheel, wheel));
  });
  return 0;
}
