#include "rootfs/formats/wheel_metadata.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "rootfs/formats/distribution.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kHeaderLimit = 20'000;

using Headers = std::vector<std::pair<std::string, std::string>>;  // key in lower case, value

[[noreturn]] void RefuseMetadata(std::string_view file, std::string cause) {
  throw base::Error(base::Fault::kInvalid, fmt::format("reading {}", file))
      .Because(std::move(cause));
}

Headers ParseHeaders(std::string_view text, std::string_view file) {
  if (text.find('\0') != text.npos) RefuseMetadata(file, "it holds a NUL byte");
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  Headers headers;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) break;
    if (line.front() == ' ' || line.front() == '\t')
      continue;  // continues a value that is not looked at
    const size_t colon = line.find(':');
    // Descriptions of old wheels spill into the headers; a line without a colon ends them, as for
    // email parsers.
    if (colon == line.npos) break;
    if (headers.size() == kHeaderLimit) RefuseMetadata(file, "it has too many headers");
    headers.emplace_back(base::LowerCase(line.substr(0, colon)),
                         base::Trim(line.substr(colon + 1)));
  }
  return headers;
}

std::string Single(const Headers& headers, std::string_view key, std::string_view file) {
  const std::string* value = nullptr;
  for (const auto& [name, text] : headers) {
    if (name != key) continue;
    if (value != nullptr) RefuseMetadata(file, fmt::format("`{}` is there twice", key));
    value = &text;
  }
  if (value == nullptr || value->empty()) RefuseMetadata(file, fmt::format("`{}` is missing", key));
  return *value;
}

}  // namespace

WheelMetadata ParseMetadata(std::string_view text) {
  constexpr std::string_view kFile = "METADATA";
  const Headers headers = ParseHeaders(text, kFile);
  WheelMetadata metadata{Single(headers, "name", kFile), Single(headers, "version", kFile)};
  if (!IsProjectName(metadata.name)) {
    RefuseMetadata(kFile,
                   fmt::format("`{}` is not a project name", base::Printable(metadata.name)));
  }
  return metadata;
}

WheelFormat ParseWheelFormat(std::string_view text) {
  constexpr std::string_view kFile = "WHEEL";
  const Headers headers = ParseHeaders(text, kFile);
  const std::string version = Single(headers, "wheel-version", kFile);
  if (!version.starts_with("1.") || version.size() > 8 ||
      !std::all_of(version.begin() + 2, version.end(),
                   [](char c) { return c >= '0' && c <= '9'; })) {
    RefuseMetadata(kFile,
                   fmt::format("wheel format {} is not known, only 1.x", base::Printable(version)));
  }
  WheelFormat format;
  const std::string pure = base::LowerCase(Single(headers, "root-is-purelib", kFile));
  if (pure != "true" && pure != "false")
    RefuseMetadata(kFile, "`root-is-purelib` is neither true nor false");
  format.root_is_purelib = pure == "true";
  for (const auto& [name, value] : headers) {
    if (name == "tag") format.tags.push_back(value);
  }
  return format;
}

}  // namespace rundlet::rootfs
