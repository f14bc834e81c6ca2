#include "rootfs/worker/servers/mirror_request.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/text.h"
#include "base/url.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/worker/servers/connection.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr size_t kMaxFilename = 255;

// Only what is asked for in so many words: "/simple/NAME/", "/files/SHA256/NAME".
void ReadPath(std::string_view path, MirrorRequest& request) {
  std::vector<std::string> parts = base::Split(path, '/');
  if (parts.size() == 4 && parts[3].empty()) parts.pop_back();
  if (parts.size() == 3 && parts[1] == "simple" && IsProjectName(parts[2])) {
    request.project = NormaliseName(parts[2]);
    return;
  }
  const std::string filename = base::FilenameOfUrl(path);
  const std::optional<base::Digest> sha256 =
      parts.size() == 4 && parts[1] == "files" ? base::Digest::Parse(parts[2]) : std::nullopt;
  if (sha256.has_value() && IsMirroredName(filename)) {
    request.file = MirrorPath(*sha256, filename);
    return;
  }
  request.status = 404;
  request.reason = "there are pages of packages and the files that they name, nothing else";
}

}  // namespace

MirrorRequest ReadMirrorRequest(std::string_view head) {
  const std::optional<RequestLine> line = ReadRequestLine(head);
  if (!line.has_value()) return {.status = 400, .reason = "this is no request of HTTP/1.1"};
  if (line->method != "GET" && line->method != "HEAD")
    return {.status = 405, .reason = "only GET and HEAD are served here"};
  if (!line->target.starts_with('/'))
    return {.status = 403, .reason = "this is no proxy: only the package index is here"};
  MirrorRequest request = {.body = line->method == "GET"};
  ReadPath(std::string_view(line->target).substr(0, line->target.find_first_of("?#")), request);
  return request;
}

std::string MirrorPath(const base::Digest& sha256, std::string_view filename) {
  return "/files/" + sha256.hex() + "/" + std::string(filename);
}

bool IsMirroredName(std::string_view filename) {
  return !filename.empty() && filename.size() <= kMaxFilename &&
         std::all_of(filename.begin(), filename.end(),
                     [](char c) { return c > ' ' && c < '\x7f' && c != '/'; });
}

}  // namespace rundlet::rootfs::worker
