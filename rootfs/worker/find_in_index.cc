#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "rootfs/worker/command.h"
#include "rootfs/worker/fetch.h"
#include "rootfs/worker/index_page.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr uint64_t kPageLimit = uint64_t{64} << 20;
constexpr std::string_view kAccept =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, "
    "text/html;q=0.1";

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
    if (piece.size() > kPageLimit - page_.size()) return "the index page is too large";
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

// Request: {"index", "project", "sha256": [hex, ...]} and the fields of ReadHttpSettings.
// Answer: {"file": {"filename", "url", "sha256", "size"} | null}: the first file with one of the
// digests.
nlohmann::json FindInIndex(const nlohmann::json& request) {
  const HttpSettings settings = ReadHttpSettings(request);
  std::string url = request.at("index");
  if (!url.ends_with('/')) url += '/';
  url += request.at("project").get<std::string>() + "/";
  PageTarget target;
  RunHttp(settings, {{.url = url, .accept = std::string(kAccept), .target = &target}});
  if (target.failure().has_value()) {
    throw base::Error(
        target.failure()->host_fault ? base::Fault::kHost : base::Fault::kInvalid,
        fmt::format("asking the package index for `{}`", request.at("project").get<std::string>()))
        .Because(target.failure()->cause);
  }
  const bool json = base::Trim(target.page()).starts_with('{');
  const auto files = json ? ParseIndexJson(target.page(), target.url())
                          : ParseIndexHtml(target.page(), target.url());
  const auto wanted = request.at("sha256").get<std::set<std::string>>();
  for (const IndexFile& file : files) {
    if (!wanted.contains(file.sha256.hex())) continue;
    return {{"file",
             {{"filename", file.filename},
              {"url", file.url},
              {"sha256", file.sha256.hex()},
              {"size", file.size}}}};
  }
  return {{"file", nullptr}};
}

}  // namespace rundlet::rootfs::worker
