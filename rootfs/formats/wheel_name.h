// What a wheel's file name says (binary distribution format, "file name convention").
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rundlet::rootfs {

struct WheelName {
  std::string name;     // normalised (PEP 503)
  std::string version;  // "_" of the local part is kept: compare with CanonicalVersion
  std::string build;    // build tag, usually empty
  std::vector<std::string> python_tags;    // "cp311", "py3"
  std::vector<std::string> abi_tags;       // "cp311", "abi3", "none"
  std::vector<std::string> platform_tags;  // "manylinux_2_17_x86_64", "any"
};

// Throws base::Error (kInvalid) for anything that is not the plain file name of a wheel.
WheelName ParseWheelName(std::string_view filename);

// Whether CPython of this version ("3.11") on `machine` ("x86_64") could load the wheel. The
// resolver chose the wheel for the image; this only refuses what can never work, so glibc and musl
// are not told apart.
bool FitsInterpreter(const WheelName& wheel, std::string_view python_tag, std::string_view machine);

// Of two wheels of one release that both fit the image: whether `a` is the one to install. As
// installers choose: the more specific ABI first, then the newer platform (manylinux_2_28 before
// manylinux2014), then the higher build tag.
bool IsPreferred(const WheelName& a, const WheelName& b);

}  // namespace rundlet::rootfs
