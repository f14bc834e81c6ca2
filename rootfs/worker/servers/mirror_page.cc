#include "rootfs/worker/servers/mirror_page.h"

#include <fmt/format.h>

#include <string_view>

#include "base/text.h"
#include "rootfs/worker/servers/mirror_request.h"

namespace rundlet::rootfs::worker {
namespace {

// In a path: what has a meaning of its own there is encoded.
std::string EncodePath(std::string_view path) {
  constexpr std::string_view kPlain = "/-._~!$'()*,;:@";
  std::string encoded;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       kPlain.find(c) != kPlain.npos;
    if (plain) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::string LineOf(const IndexFile& file) {
  std::string attributes = fmt::format(
      "href=\"{}#sha256={}\"", EscapeHtml(EncodePath(MirrorPath(file.sha256, file.filename))),
      file.sha256.hex());
  if (!file.requires_python.empty()) {
    attributes += fmt::format(" data-requires-python=\"{}\"",
                              EscapeHtml(base::Printable(file.requires_python)));
  }
  if (file.yanked.has_value())
    attributes += fmt::format(" data-yanked=\"{}\"", EscapeHtml(base::Printable(*file.yanked)));
  if (file.metadata.has_value()) {
    const std::string digest = "sha256=" + file.metadata->hex();
    attributes +=
        fmt::format(" data-core-metadata=\"{0}\" data-dist-info-metadata=\"{0}\"", digest);
  }
  return fmt::format("<a {}>{}</a><br>\n", attributes, EscapeHtml(file.filename));
}

}  // namespace

std::string MirrorPage(const std::vector<IndexFile>& files) {
  std::string page = "<!DOCTYPE html>\n<html><body>\n";
  for (const IndexFile& file : files) {
    if (IsMirroredName(file.filename)) page += LineOf(file);
  }
  return page + "</body></html>\n";
}

}  // namespace rundlet::rootfs::worker
