#include "rootfs/worker/http/index_get.h"

#include <string_view>

namespace rundlet::rootfs::worker {

std::optional<std::string> PageTarget::Begin(const Start& start) {
  page_.clear();
  start_ = start;
  return std::nullopt;
}

std::optional<std::string> PageTarget::Take(std::span<const std::byte> piece) {
  if (piece.size() > kIndexPageLimit - page_.size()) return "the index page is too large";
  page_.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  return std::nullopt;
}

HttpRequest PageTarget::RequestFor(std::string url) {
  return {.url = std::move(url), .accept = std::string(kIndexForms), .target = this, .text = true};
}

IndexAnswer GetIndexPage(const HttpSettings& settings, std::string index,
                         const std::string& project) {
  if (!index.ends_with('/')) index += '/';
  PageTarget target;
  RunHttp(settings, {target.RequestFor(index + project + "/")});
  if (target.failure().has_value()) return {{}, target.failure()};
  const bool json = IsJsonPage(target.page());
  return {json ? ParseIndexJson(target.page(), target.start().url)
               : ParseIndexHtml(target.page(), target.start().url),
          std::nullopt};
}

}  // namespace rundlet::rootfs::worker
