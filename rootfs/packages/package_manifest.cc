#include "rootfs/packages/package_manifest.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

enum Field : size_t { kType, kMode, kUid, kGid, kSize, kContent, kPath, kFields };

[[noreturn]] void Malformed() {
  throw base::Error(base::Fault::kBug, "reading a manifest").Because("a line is not in its form");
}

template <typename Integer>
Integer ParseInteger(std::string_view text, int radix) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, radix);
  if (error != std::errc() || end != text.data() + text.size()) Malformed();
  return value;
}

std::string DecodeName(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    if (i + 2 >= text.size()) Malformed();
    plain += static_cast<char>(ParseInteger<unsigned>(text.substr(i + 1, 2), 16));
    i += 2;
  }
  return plain;
}

}  // namespace

std::map<std::string, ManifestFile> FilesOf(const store::Manifest& manifest) {
  std::map<std::string, ManifestFile> files;
  std::string_view rest = manifest.text;
  rest.remove_prefix(std::min(rest.find('\n') + 1, rest.size()));  // the format's name
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    if (end == rest.npos) Malformed();
    const std::vector<std::string> fields = base::Split(rest.substr(0, end), ' ');
    rest.remove_prefix(end + 1);
    const bool plain = fields.size() == kFields && (fields[kType] == "f" || fields[kType] == "d");
    if (!plain) {
      throw base::Error(base::Fault::kInvalid, fmt::format("checking `{}`", fields.back()))
          .Because("it is neither a plain file nor a directory");
    }
    if (fields[kType] == "d") continue;
    const std::optional<base::Digest> digest = base::Digest::Parse(fields[kContent]);
    if (!digest.has_value()) Malformed();
    const bool executable = (ParseInteger<unsigned>(fields[kMode], 8) & 0111) != 0;
    files[DecodeName(fields[kPath])] = {ParseInteger<uint64_t>(fields[kSize], 10), *digest,
                                        executable};
  }
  return files;
}

}  // namespace rundlet::rootfs
