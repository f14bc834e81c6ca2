#include "rootfs/requirements/source_archive.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/json/fields.h"
#include "base/text.h"
#include "base/url.h"
#include "rootfs/formats/wheel_name.h"

namespace rundlet::rootfs {
namespace {

constexpr std::string_view kBuildVersion = "2";

}  // namespace

SourceArchive FindSource(WorkerClient& workers, const IndexAccess& index, const std::string& name,
                         const std::string& version, const NetworkSettings& network,
                         const base::CancelToken* cancel) {
  WorkerJob job;
  job.command = "find-in-index";
  job.request =
      nlohmann::json({{"index", index.login.url}, {"project", name}, {"source", version}}).dump();
  AddNetwork(network, job);
  const base::DocumentOrigin origin = base::AnswerOf(job.command);
  const nlohmann::json answer = base::ParseJson(workers.Run(job, {}, cancel), origin);
  const base::Fields fields(answer, origin);
  if (!fields.Has("file")) {
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("looking for the source archive of `{} {}`", name, version))
        .Because(fmt::format("`{}` offers none with a sha256", base::UrlHost(index.login.url)));
  }
  SourceArchive archive{.name = name, .version = version, .source = {}, .realm = index.realm()};
  Source& source = archive.source;
  const base::Fields file = fields.Object("file");
  source.filename = file.Text("filename");
  source.url = file.Text("url");
  source.size = file.Number("size");
  source.sha256 = file.DigestAt("sha256");
  if (!IsArchiveName(source.filename) || !IsFetchableUrl(source.url)) {
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("using `{}`", base::Printable(source.filename)))
        .Because("its name or its URL could not be that of a source archive");
  }
  return archive;
}

RequirementSet BuildRequirements(const std::vector<std::string>& texts) {
  RequirementSet set = ParseRequirements(texts);
  for (const Requirement& requirement : set.requirements) {
    if (requirement.url.empty() && requirement.path.empty()) continue;
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("using build requirement `{}`", requirement.name))
        .Because("it names a file of its own, and only packages of an index are used for building");
  }
  return set;
}

base::Digest BuildKey(const SourceArchive& archive, const Lock& requirements,
                      const Interpreter& interpreter, const base::Digest& image,
                      const std::string& machine) {
  base::Sha256 hash;
  hash.AddField("built wheel");
  hash.AddField(kBuildVersion);
  hash.AddField(archive.name);
  hash.AddField(archive.source.sha256.hex());
  hash.AddField(interpreter.identity.hex());
  hash.AddField(image.hex());
  hash.AddField(machine);
  if (archive.realm.has_value()) hash.AddField(archive.realm->digest.hex());
  for (const Distribution& one : requirements.distributions) {
    hash.AddField(one.name);
    hash.AddField(one.WheelKey());
  }
  return hash.Finish();
}

NamedWheel KeepBuilt(store::Store& store, const SourceArchive& archive, const std::string& filename,
                     std::string_view bytes, const base::CancelToken* cancel) {
  const WheelName parts = ParseWheelName(filename);
  const bool same_version = archive.version.empty() ||
                            CanonicalVersion(parts.version) == CanonicalVersion(archive.version);
  if (parts.name != archive.name || !same_version) {
    throw base::Error(base::Fault::kInvalid, fmt::format("building `{}`", archive.Label()))
        .Because(fmt::format("the build gave `{}`, a wheel of something else",
                             base::Printable(filename)));
  }
  const base::UniqueFd file = base::MemoryFile("wheel", bytes);
  return TakeWheel(store, file.get(), filename, archive.realm, cancel);
}

}  // namespace rundlet::rootfs
