#include "rootfs/formats/wheel_paths.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kPlacedPathLimit = 1024;
constexpr size_t kDepthLimit = 64;
constexpr std::string_view kToPrefix = "../../../";  // from lib/pythonX.Y/site-packages

[[noreturn]] void RefusePath(std::string_view path, std::string cause) {
  throw base::Error(base::Fault::kInvalid, fmt::format("placing `{}`", base::Printable(path)))
      .Because(std::move(cause));
}

// Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates.
bool IsUtf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80   ? 1
                          : lead < 0xc2 ? 0
                          : lead < 0xe0 ? 2
                          : lead < 0xf0 ? 3
                          : lead < 0xf5 ? 4
                                        : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    const auto second = length > 1 ? static_cast<unsigned char>(text[i + 1]) : 0;
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
        (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) {
      return false;
    }
    i += length;
  }
  return true;
}

bool IsBelow(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

// A wheel may not replace the environment's own files, which lie in the skeleton below it.
std::string CheckReserved(std::string_view archive_path, std::string path) {
  const bool python = path.starts_with("bin/python") &&
                      std::all_of(path.begin() + 10, path.end(),
                                  [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  if (python || path == "pyvenv.cfg" || path == "bin" || path == "lib" || path == "lib64") {
    RefusePath(archive_path, fmt::format("`{}` belongs to the environment itself", path));
  }
  return path;
}

InstalledPath PlaceData(const WheelLayout& layout, std::string_view archive_path) {
  const std::string_view inside = archive_path.substr(layout.data.size() + 1);
  const size_t slash = inside.find('/');
  if (slash == inside.npos) RefusePath(archive_path, "it is outside every installation scheme");
  const std::string_view scheme = inside.substr(0, slash);
  const std::string rest(inside.substr(slash + 1));
  if (scheme == "purelib" || scheme == "platlib") return {layout.SitePackages() + "/" + rest};
  if (scheme == "scripts") {
    return {CheckReserved(archive_path, "bin/" + rest), WheelFileKind::kScript};
  }
  if (scheme == "headers") {
    return {fmt::format("include/site/python{}/{}/{}", layout.python_tag, layout.name, rest)};
  }
  if (scheme == "data") {
    // lib64 is a link to lib in a venv; a directory of that name would hide it.
    if (IsBelow(rest, "lib64")) return {"lib" + rest.substr(5)};
    return {CheckReserved(archive_path, rest)};
  }
  RefusePath(archive_path,
             fmt::format("there is no installation scheme `{}`", base::Printable(scheme)));
}

}  // namespace

void CheckArchivePath(std::string_view path) {
  if (path.size() > kPlacedPathLimit) RefusePath(path.substr(0, 100), "the path is too long");
  if (!base::IsPlainRelative(path))
    RefusePath(path, "the path leads outside, or is not in its plain form");
  if (std::count(path.begin(), path.end(), '/') > static_cast<ptrdiff_t>(kDepthLimit)) {
    RefusePath(path, "the path is too deep");
  }
  if (std::any_of(path.begin(), path.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\';
      })) {
    RefusePath(path, "the path holds a backslash or a control character");
  }
  if (!IsUtf8(path)) RefusePath(path, "the path is not UTF-8");
}

InstalledPath PlaceWheelFile(const WheelLayout& layout, std::string_view archive_path) {
  CheckArchivePath(archive_path);
  if (archive_path == layout.dist_info + "/RECORD" ||
      archive_path == layout.dist_info + "/RECORD.jws" ||
      archive_path == layout.dist_info + "/RECORD.p7s") {
    return {"", WheelFileKind::kRecord};
  }
  if (archive_path.find("__pycache__/") != archive_path.npos && archive_path.ends_with(".pyc")) {
    return {"", WheelFileKind::kDropped};
  }
  if (archive_path == layout.dist_info + "/INSTALLER") return {"", WheelFileKind::kDropped};
  if (IsBelow(archive_path, layout.data)) return PlaceData(layout, archive_path);
  return {layout.SitePackages() + "/" + std::string(archive_path)};
}

std::string RecordPath(const WheelLayout& layout, std::string_view path) {
  const std::string site = layout.SitePackages();
  if (IsBelow(path, site)) return std::string(path.substr(site.size() + 1));
  return std::string(kToPrefix) + std::string(path);
}

std::string PathOfRecord(const WheelLayout& layout, std::string_view record_path) {
  const bool outside = record_path.starts_with(kToPrefix);
  const std::string_view plain = outside ? record_path.substr(kToPrefix.size()) : record_path;
  CheckArchivePath(plain);
  return outside ? std::string(plain) : layout.SitePackages() + "/" + std::string(plain);
}

}  // namespace rundlet::rootfs
