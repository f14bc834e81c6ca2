#include "rootfs/worker/index_get.h"

#include <span>
#include <string_view>
#include <utility>

namespace rundlet::rootfs::worker {
namespace {

// A page kept in memory.
class PageTarget : public HttpTarget {
 public:
  uint64_t ResumeFrom() override { return 0; }
  std::optional<std::string> Begin(const Start& start) override {
    page_.clear();
    url_ = start.url;
    return std::nullopt;
  }
  std::optional<std::string> Take(std::span<const std::byte> piece) override {
    if (piece.size() > kIndexPageLimit - page_.size()) return "the index page is too large";
    page_.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    return std::nullopt;
  }
  std::optional<HttpFailure> Complete() override { return std::nullopt; }
  void Failed(const HttpFailure& failure) override { failure_ = failure; }

  const std::string& page() const { return page_; }
  const std::string& url() const { return url_; }
  const std::optional<HttpFailure>& failure() const { return failure_; }

 private:
  std::string page_;
  std::string url_;
  std::optional<HttpFailure> failure_;
};

}  // namespace

IndexAnswer GetIndexPage(const HttpSettings& settings, std::string index,
                         const std::string& project) {
  if (!index.ends_with('/')) index += '/';
  PageTarget target;
  RunHttp(settings, {{.url = index + project + "/",
                      .accept = std::string(kIndexForms),
                      .target = &target,
                      .text = true}});
  if (target.failure().has_value()) return {{}, target.failure()};
  const bool json = IsJsonPage(target.page());
  return {json ? ParseIndexJson(target.page(), target.url())
               : ParseIndexHtml(target.page(), target.url()),
          std::nullopt};
}

}  // namespace rundlet::rootfs::worker
