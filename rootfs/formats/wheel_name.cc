#include "rootfs/formats/wheel_name.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <optional>
#include <tuple>

#include "base/error.h"
#include "base/text.h"
#include "rootfs/formats/distribution.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kFilenameLimit = 255;

bool IsFilenameCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("-_.+!").find(c) != std::string_view::npos;
}

std::optional<int> Integer(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Of "3.11" the 11; of tags such as "cp311", "py3" what follows the major version.
std::optional<int> MinorOf(std::string_view python_tag) {
  const size_t dot = python_tag.find('.');
  if (dot == python_tag.npos || python_tag.substr(0, dot) != "3") return std::nullopt;
  return Integer(python_tag.substr(dot + 1));
}

bool PythonFits(std::string_view python, std::string_view abi, int minor) {
  const bool compiled = python.starts_with("cp3");
  if (!compiled && !python.starts_with("py3")) return false;
  const std::string_view digits = python.substr(3);
  const std::optional<int> wanted = digits.empty() ? 0 : Integer(digits);
  if (!wanted.has_value() || *wanted > minor) return false;
  if (abi == "none") return true;
  if (abi == "abi3") return compiled;
  // A full ABI tag: exactly this interpreter, not its free-threaded or debug builds ("cp313t").
  return compiled && *wanted == minor && abi == python;
}

bool PlatformFits(std::string_view platform, std::string_view machine) {
  if (platform == "any") return true;
  const bool linux = platform.starts_with("linux_") || platform.starts_with("manylinux") ||
                     platform.starts_with("musllinux");
  return linux && platform.ends_with(fmt::format("_{}", machine));
}

}  // namespace

WheelName ParseWheelName(std::string_view filename) {
  const auto refuse = [&](std::string_view cause) {
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("reading wheel file name `{}`", base::Printable(filename)))
        .Because(std::string(cause));
  };
  if (filename.size() > kFilenameLimit || !filename.ends_with(".whl") ||
      !std::all_of(filename.begin(), filename.end(), IsFilenameCharacter)) {
    refuse("it is not the name of a wheel");
  }
  const std::vector<std::string> parts = base::Split(filename.substr(0, filename.size() - 4), '-');
  if (parts.size() != 5 && parts.size() != 6) refuse("it does not have five or six parts");
  for (const std::string& part : parts) {
    if (part.empty()) refuse("one of its parts is empty");
  }
  const size_t tags = parts.size() - 3;
  if (!IsProjectName(parts[0])) refuse("it does not begin with a project name");
  return {.name = NormaliseName(parts[0]),
          .version = parts[1],
          .build = parts.size() == 6 ? parts[2] : "",
          .python_tags = base::Split(parts[tags], '.'),
          .abi_tags = base::Split(parts[tags + 1], '.'),
          .platform_tags = base::Split(parts[tags + 2], '.')};
}

bool FitsInterpreter(const WheelName& wheel, std::string_view python_tag,
                     std::string_view machine) {
  const std::optional<int> minor = MinorOf(python_tag);
  if (!minor.has_value()) return false;
  const bool platform =
      std::any_of(wheel.platform_tags.begin(), wheel.platform_tags.end(),
                  [&](const std::string& tag) { return PlatformFits(tag, machine); });
  if (!platform) return false;
  for (const std::string& python : wheel.python_tags) {
    for (const std::string& abi : wheel.abi_tags) {
      if (PythonFits(python, abi, *minor)) return true;
    }
  }
  return false;
}

namespace {

int AbiRank(const WheelName& wheel) {
  int rank = 0;
  for (const std::string& tag : wheel.abi_tags) {
    if (tag == "abi3") rank = std::max(rank, 1);
    if (tag.starts_with("cp")) rank = std::max(rank, 2);
  }
  return rank;
}

// The C library version that the newest of the wheel's platform tags asks for, as major * 1000 +
// minor; 1 for a plain "linux_x86_64", 0 for "any".
int PlatformRank(const WheelName& wheel) {
  int rank = 0;
  for (const std::string& tag : wheel.platform_tags) {
    int major = 0;
    int minor = 0;
    const size_t underscore = tag.find('_');
    if (tag.starts_with("manylinux2014")) {
      rank = std::max(rank, 2017);
    } else if (tag.starts_with("manylinux2010")) {
      rank = std::max(rank, 2012);
    } else if (tag.starts_with("manylinux1_")) {
      rank = std::max(rank, 2005);
    } else if (underscore != tag.npos &&
               std::sscanf(tag.c_str() + underscore, "_%3d_%3d_", &major, &minor) == 2) {
      rank = std::max(rank, major * 1000 + minor);
    } else if (tag != "any") {
      rank = std::max(rank, 1);
    }
  }
  return rank;
}

}  // namespace

bool IsPreferred(const WheelName& a, const WheelName& b) {
  return std::tuple(AbiRank(a), PlatformRank(a), a.build.size(), a.build) >
         std::tuple(AbiRank(b), PlatformRank(b), b.build.size(), b.build);
}

}  // namespace rundlet::rootfs
