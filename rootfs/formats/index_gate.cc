#include "rootfs/formats/index_gate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/walls.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/formats/index_access.h"
#include "runtime/spec/sandbox_spec.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kIdLength = 32;  // hex digits, of a seal too
constexpr std::string_view kPages = "/simple/";
constexpr std::string_view kFiles = "/file/";
constexpr std::string_view kMetadata = ".metadata";  // PEP 658: beside the file it describes

std::string GateOrigin() { return fmt::format("http://127.0.0.1:{}/", runtime::kProxyPort); }

std::string SealOf(const base::Digest& key, const std::string& id, std::string_view url) {
  return KeyedDigest(key, "file of " + id, url).hex().substr(0, kIdLength);
}

// "https/host/path" -> "https://host/path"; empty when it is neither that nor http.
std::string UrlOf(std::string_view rest) {
  for (const std::string_view scheme : {"https", "http"}) {
    if (rest.starts_with(std::string(scheme) + "/"))
      return fmt::format("{}://{}", scheme, rest.substr(scheme.size() + 1));
  }
  return {};
}

// The file that a URL's metadata describes; empty when it is no metadata's.
std::string DescribedBy(const std::string& url) {
  const size_t end = std::min(url.find('?'), url.size());
  if (!std::string_view(url).substr(0, end).ends_with(kMetadata)) return {};
  return url.substr(0, end - kMetadata.size()) + url.substr(end);
}

// "foo/": the one project whose page it is.
bool IsPagePath(std::string_view rest) {
  if (rest.ends_with('/')) rest.remove_suffix(1);
  return IsProjectName(rest);
}

}  // namespace

std::string GateId(const base::Digest& index_id) { return index_id.hex().substr(0, kIdLength); }

std::string GateIndexUrl(const std::string& id) { return GateOrigin() + id + "/simple"; }

std::string GateFileUrl(const base::Digest& key, const std::string& id, std::string_view url) {
  const size_t hash = std::min(url.find('#'), url.size());
  const std::string_view file = url.substr(0, hash);
  const size_t colon = file.find("://");
  if (!IsFetchableUrl(file)) return {};
  return fmt::format("{}{}{}{}/{}/{}{}", GateOrigin(), id, kFiles, SealOf(key, id, file),
                     file.substr(0, colon), file.substr(colon + 3), url.substr(hash));
}

std::optional<GateTarget> ReadGatePath(std::string_view path, const base::Digest& key,
                                       const std::vector<GatedIndex>& indexes) {
  if (!path.starts_with('/')) return std::nullopt;
  path.remove_prefix(1);
  const std::string_view id = path.substr(0, path.find('/'));
  const auto found = std::find_if(indexes.begin(), indexes.end(),
                                  [&](const GatedIndex& one) { return one.id == id; });
  if (found == indexes.end()) return std::nullopt;
  const auto index = static_cast<size_t>(found - indexes.begin());
  path.remove_prefix(id.size());
  if (path.starts_with(kPages)) {
    path.remove_prefix(kPages.size());
    if (!IsPagePath(path)) return std::nullopt;
    return GateTarget{index, fmt::format("{}/{}", found->url, path), true};
  }
  if (!path.starts_with(kFiles)) return std::nullopt;
  path.remove_prefix(kFiles.size());
  const std::string_view seal = path.substr(0, path.find('/'));
  path.remove_prefix(std::min(seal.size() + 1, path.size()));
  std::string url = UrlOf(path);
  if (!IsFetchableUrl(url)) return std::nullopt;
  if (seal != SealOf(key, found->id, url) && seal != SealOf(key, found->id, DescribedBy(url)) &&
      base::Holds(base::Wall::kSeal))
    return std::nullopt;
  return GateTarget{index, std::move(url), false};
}

std::string WithoutGate(std::string_view text, const std::vector<GatedIndex>& indexes) {
  const std::string origin = GateOrigin();
  std::string plain;
  while (true) {
    const size_t at = text.find(origin);
    plain += text.substr(0, at);
    if (at == text.npos) return plain;
    text.remove_prefix(at);
    const std::string_view after = text.substr(origin.size());
    const std::string_view id = after.substr(0, kIdLength);
    const std::string_view rest = after.substr(id.size());
    const auto found = std::find_if(indexes.begin(), indexes.end(),
                                    [&](const GatedIndex& one) { return one.id == id; });
    const size_t sealed = kFiles.size() + kIdLength + 1;
    if (found != indexes.end() && rest.starts_with("/simple")) {
      plain += found->url;
      text = rest.substr(std::string_view("/simple").size());
    } else if (found != indexes.end() && rest.starts_with(kFiles) && rest.size() > sealed &&
               !UrlOf(rest.substr(sealed)).empty()) {
      const std::string_view url = rest.substr(sealed);
      const size_t scheme = url.find('/');
      plain += fmt::format("{}://", url.substr(0, scheme));
      text = url.substr(scheme + 1);
    } else {
      plain += origin;
      text = after;
    }
  }
}

}  // namespace rundlet::rootfs
