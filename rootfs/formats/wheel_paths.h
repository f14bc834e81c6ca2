// Where a wheel's files go: from a path inside the archive to a path below the venv prefix.
#pragma once

#include <string>
#include <string_view>

namespace rundlet::rootfs {

// The prefix at which every environment is mounted.
inline constexpr std::string_view kEnvironmentPrefix = "/env";
inline constexpr std::string_view kEnvironmentPython = "/env/bin/python";
// Where packages are mounted when they are not put together at that prefix.
inline constexpr std::string_view kPackagesPrefix = "/rundlet/packages";

// What has to be done with a file on the way.
enum class WheelFileKind {
  kFile,     // copied as it is
  kScript,   // from .data/scripts: executable, a first line "#!python" is replaced
  kRecord,   // RECORD and its signatures: in no RECORD, not copied; rundlet writes its own
  kDropped,  // checked against RECORD, then left out: bytecode (the interpreter at hand makes its
             // own), INSTALLER
};

struct InstalledPath {
  std::string path;  // "lib/python3.11/site-packages/six.py"; empty for kRecord and kDropped
  WheelFileKind kind = WheelFileKind::kFile;
};

// The layout of one wheel's archive.
struct WheelLayout {
  std::string dist_info;   // "six-1.17.0.dist-info"
  std::string data;        // "six-1.17.0.data"
  std::string name;        // of the project, for headers
  std::string python_tag;  // "3.11"

  std::string SitePackages() const { return "lib/python" + python_tag + "/site-packages"; }
};

// Throws base::Error (kInvalid) for a path that is not plain and relative (absolute, "..",
// backslashes, control characters, invalid UTF-8, over-long), for a .data scheme that does not
// exist, and for what belongs to the environment itself: pyvenv.cfg, bin/python*, a second lib64.
InstalledPath PlaceWheelFile(const WheelLayout& layout, std::string_view archive_path);

// Throws unless the path may be part of an archive.
void CheckArchivePath(std::string_view path);

// How RECORD names a path below the prefix: relative to site-packages ("../../../bin/x"); and back.
std::string RecordPath(const WheelLayout& layout, std::string_view path);
// Throws base::Error (kInvalid) for a RECORD path that leads out of the prefix.
std::string PathOfRecord(const WheelLayout& layout, std::string_view record_path);

}  // namespace rundlet::rootfs
