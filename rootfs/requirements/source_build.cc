#include "rootfs/requirements/source_build.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/json/fields.h"
#include "base/text.h"
#include "base/url.h"
#include "rootfs/formats/wheel_name.h"
#include "rootfs/requirements/build_program.h"

namespace rundlet::rootfs {
namespace {

constexpr std::string_view kBuildVersion = "2";
constexpr size_t kMostBuildRequirements = 200;

std::string_view WordOf(BuildMode mode) {
  switch (mode) {
    case BuildMode::kDescribe:
      return "describe";
    case BuildMode::kRequires:
      return "requires";
    case BuildMode::kBuild:
      return "build";
  }
  base::CheckFailed("a mode of building", __FILE__, __LINE__);
}

[[noreturn]] void RefuseSystem(std::string cause) {
  throw base::Error(base::Fault::kInvalid, "reading [build-system]").Because(std::move(cause));
}

std::vector<std::string> TextsIn(const nlohmann::json& table, const char* key) {
  std::vector<std::string> texts;
  const auto found = table.find(key);
  if (found == table.end()) return texts;
  if (!found->is_array() || found->size() > kMostBuildRequirements)
    RefuseSystem(fmt::format("`{}` is no list, or too long", key));
  for (const nlohmann::json& item : *found) {
    if (!item.is_string()) RefuseSystem(fmt::format("`{}` holds what is no text", key));
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

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

BuildSystem ReadBuildSystem(std::string_view document) {
  BuildSystem system;
  const nlohmann::json answer = nlohmann::json::parse(document, nullptr, false);
  const nlohmann::json data =
      answer.is_object() ? answer.value("data", nlohmann::json()) : nlohmann::json();
  if (!data.is_object() || !data.contains("build-system")) return system;
  const nlohmann::json& table = data["build-system"];
  if (!table.is_object()) RefuseSystem("it is no table");
  system.required = TextsIn(table, "requires");
  system.path = TextsIn(table, "backend-path");
  if (const auto backend = table.find("build-backend"); backend != table.end()) {
    if (!backend->is_string()) RefuseSystem("`build-backend` is no text");
    backend->get_to(system.backend);
  }
  const bool good = std::all_of(system.backend.begin(), system.backend.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == ':';
  });
  if (!good) RefuseSystem("`build-backend` is not the name of a Python object");
  return system;
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

BuildCommand MakeBuildCommand(BuildMode mode, const SourceArchive& archive,
                              const BuildSystem& system, const std::string& python) {
  const nlohmann::json wanted = {{"backend", system.backend}, {"path", system.path}};
  return {.argv = {python, "-I", "-", std::string(WordOf(mode)),
                   fmt::format("{}/{}", kSourceInside, archive.source.filename),
                   wanted.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)},
          .input = std::string(kBuildProgram)};
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
