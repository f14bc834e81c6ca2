#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/formats/index_access.h"
#include "rootfs/worker/command.h"
#include "rootfs/worker/http/fetch.h"
#include "rootfs/worker/http/fetch_url.h"
#include "rootfs/worker/http/index_get.h"

namespace rundlet::rootfs::worker {
namespace {

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
  const std::string project = request.at("project");
  const std::string index = request.at("index");
  const IndexAnswer page = GetIndexPage(settings, index, project);
  if (page.failure.has_value()) {
    base::Error error(page.failure->host_fault ? base::Fault::kHost : base::Fault::kInvalid,
                      fmt::format("asking the package index for `{}`", project));
    error.Because(page.failure->cause);
    const long status = page.failure->status;
    if (status == 401 || status == 403) error.SetHint(CredentialsHint(PartsOf(index).host));
    throw error;
  }
  for (const IndexFile& file : page.files) {
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
