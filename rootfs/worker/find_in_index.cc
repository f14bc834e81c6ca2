#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "rootfs/distribution.h"
#include "rootfs/index_access.h"
#include "rootfs/worker/command.h"
#include "rootfs/worker/fetch.h"
#include "rootfs/worker/fetch_url.h"
#include "rootfs/worker/index_page.h"

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

// "docopt-0.6.2.tar.gz"
bool IsSourceOf(std::string_view filename, const std::string& project, const std::string& version) {
  for (const std::string_view ending : {".tar.gz", ".zip"}) {
    if (!filename.ends_with(ending)) continue;
    const std::string_view stem = filename.substr(0, filename.size() - ending.size());
    const size_t dash = stem.rfind('-');
    return dash != stem.npos && NormaliseName(stem.substr(0, dash)) == project &&
           CanonicalVersion(stem.substr(dash + 1)) == CanonicalVersion(version);
  }
  return false;
}

bool IsWanted(const IndexFile& file, const nlohmann::json& request) {
  if (request.contains("source"))
    return IsSourceOf(file.filename, request.at("project"), request.at("source"));
  return request.at("sha256").get<std::set<std::string>>().contains(file.sha256.hex());
}

}  // namespace

// Request: {"index", "project", "sha256": [hex, ...] or "source": version} and the fields of
// ReadHttpSettings. Answer: {"file": {"filename", "url", "sha256", "size"} | null}: the first file
// with one of the digests, or the source archive of that release.
nlohmann::json FindInIndex(const nlohmann::json& request) {
  const HttpSettings settings = ReadHttpSettings(request);
  std::string url = request.at("index");
  if (!url.ends_with('/')) url += '/';
  url += request.at("project").get<std::string>() + "/";
  PageTarget target;
  RunHttp(settings,
          {{.url = url, .accept = std::string(kIndexForms), .target = &target, .text = true}});
  if (target.failure().has_value()) {
    base::Error error(
        target.failure()->host_fault ? base::Fault::kHost : base::Fault::kInvalid,
        fmt::format("asking the package index for `{}`", request.at("project").get<std::string>()));
    error.Because(target.failure()->cause);
    const long status = target.failure()->status;
    if (status == 401 || status == 403) error.SetHint(CredentialsHint(PartsOf(url).host));
    throw error;
  }
  const bool json = IsJsonPage(target.page());
  const auto files = json ? ParseIndexJson(target.page(), target.url())
                          : ParseIndexHtml(target.page(), target.url());
  for (const IndexFile& file : files) {
    if (!IsWanted(file, request)) continue;
    return {{"file",
             {{"filename", file.filename},
              {"url", file.url},
              {"sha256", file.sha256.hex()},
              {"size", file.size}}}};
  }
  return {{"file", nullptr}};
}

}  // namespace rundlet::rootfs::worker
