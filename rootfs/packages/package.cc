#include "rootfs/packages/package.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/fs.h"
#include "base/json/fields.h"
#include "base/text.h"
#include "rootfs/formats/wheel_name.h"
#include "rootfs/formats/wheel_paths.h"
#include "rootfs/formats/wheel_record.h"
#include "rootfs/net/fetch.h"
#include "rootfs/packages/package_manifest.h"

namespace rundlet::rootfs {
namespace {

constexpr std::string_view kPackageVersion = "2";
constexpr size_t kRecordLimit = size_t{128} << 20;

std::string Machine() {
  utsname names;
  if (uname(&names) < 0) base::ThrowErrno("asking for this machine's type");
  return names.machine;
}

[[noreturn]] void Disagree(std::string_view path, std::string_view cause) {
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("checking installed `{}`", base::Printable(path)))
      .Because(std::string(cause));
}

constexpr size_t kFileLimit = 1'000'000;
constexpr size_t kLibraryLimit = 20'000;

struct WorkerReport {
  std::string dist_info;
  std::map<std::string, ManifestFile> files;
  std::vector<SharedLibrary> libraries;
};

std::vector<SharedLibrary> ReadLibraries(const nlohmann::json& items) {
  std::vector<SharedLibrary> libraries;
  for (const nlohmann::json& item : items) {
    if (libraries.size() == kLibraryLimit) Disagree("?", "it has too many libraries");
    libraries.push_back({item.at(0), item.at(1), item.at(2)});
  }
  return libraries;
}

// `libraries`: [[path, soname, [needed soname, ...]], ...]
std::vector<SharedLibrary> ReportedLibraries(const base::Fields& answer,
                                             const base::DocumentOrigin& origin) {
  std::vector<SharedLibrary> libraries;
  for (const nlohmann::json& item : answer.List("libraries", kLibraryLimit)) {
    if (!item.is_array() || item.size() != 3 || !item[2].is_array())
      throw answer.Refuse("`libraries` holds something else than libraries");
    SharedLibrary library{TextOf(item[0], origin), TextOf(item[1], origin), {}};
    for (const nlohmann::json& needed : item[2]) library.needed.push_back(TextOf(needed, origin));
    libraries.push_back(std::move(library));
  }
  return libraries;
}

// `files`: [[path, size, sha256, executable], ...]
WorkerReport ReadReport(const std::string& text) {
  const base::DocumentOrigin origin = base::AnswerOf("install-wheel");
  const nlohmann::json document = base::ParseJson(text, origin);
  const base::Fields answer(document, origin);
  WorkerReport report;
  report.dist_info = answer.Text("dist_info");
  for (const nlohmann::json& file : answer.List("files", kFileLimit)) {
    if (!file.is_array() || file.size() != 4 || !file[1].is_number_unsigned() ||
        !file[3].is_boolean())
      throw answer.Refuse("`files` holds something else than files");
    report.files[TextOf(file[0], origin)] = {file[1].get<uint64_t>(), DigestOf(file[2], origin),
                                             file[3].get<bool>()};
  }
  report.libraries = ReportedLibraries(answer, origin);
  return report;
}

// The tree holds what the worker listed, and RECORD is what we would write for that: from here on
// it is ours.
void CheckTree(const WorkerReport& report, const store::Manifest& manifest,
               const WheelLayout& layout) {
  const std::map<std::string, ManifestFile> found = FilesOf(manifest);
  for (const auto& [path, file] : found) {
    const auto listed = report.files.find(path);
    if (listed == report.files.end()) Disagree(path, "the installer did not list it");
    if (listed->second != file) Disagree(path, "it is not what the installer listed");
  }
  for (const auto& [path, file] : report.files) {
    if (!found.contains(path)) Disagree(path, "the installer listed it and it is not there");
  }
  const std::string record = layout.SitePackages() + "/" + layout.dist_info + "/RECORD";
  std::vector<RecordRow> rows{{layout.dist_info + "/RECORD", std::nullopt, std::nullopt}};
  for (const auto& [path, file] : found) {
    if (path != record) rows.push_back({RecordPath(layout, path), file.sha256, file.size});
  }
  const auto written = found.find(record);
  if (written == found.end() ||
      written->second.sha256 != base::Digest::Of(FormatRecord(std::move(rows)))) {
    Disagree(record, "it does not list the files that are there");
  }
}

bool IsIdentifier(std::string_view text) {
  return !text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) == 0 &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
                  static_cast<unsigned char>(c) >= 0x80;
         });
}

// "pandas/core/frame.py" -> "pandas", "six.py" -> "six", "_cffi.cpython-311-x86_64-linux-gnu.so" ->
// "_cffi".
std::string TopLevelName(std::string_view site_path) {
  const size_t slash = site_path.find('/');
  std::string_view name = site_path.substr(0, slash);
  if (slash == site_path.npos) {
    if (!name.ends_with(".py") && !name.ends_with(".pyc") && !name.ends_with(".so")) return {};
    name = name.substr(0, name.find('.'));
  }
  return IsIdentifier(name) ? std::string(name) : std::string();
}

PackageMeta Describe(const Distribution& distribution, const WheelLayout& layout,
                     const WorkerReport& report) {
  PackageMeta meta{
      distribution.name, distribution.version, layout.python_tag, layout.dist_info, {}, false,
      report.libraries};
  std::set<std::string> names;
  const std::string site = layout.SitePackages() + "/";
  for (const auto& [path, file] : report.files) {
    if (!path.starts_with(site)) continue;
    const std::string_view inside = std::string_view(path).substr(site.size());
    if (std::string name = TopLevelName(inside); !name.empty()) names.insert(std::move(name));
    meta.has_pth = meta.has_pth || (inside.ends_with(".pth") && inside.find('/') == inside.npos);
  }
  meta.top_level.assign(names.begin(), names.end());
  return meta;
}

std::string EncodeMeta(const PackageMeta& meta) {
  nlohmann::json libraries = nlohmann::json::array();
  for (const SharedLibrary& library : meta.libraries)
    libraries.push_back({library.path, library.soname, library.needed});
  return nlohmann::json({{"version", 2},
                         {"distribution", meta.name},
                         {"distribution_version", meta.version},
                         {"python_tag", meta.python_tag},
                         {"dist_info", meta.dist_info},
                         {"top_level", meta.top_level},
                         {"pth", meta.has_pth},
                         {"libraries", std::move(libraries)}})
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void CheckFits(const Distribution& distribution, const std::string& python_tag) {
  CheckDistribution(distribution);
  const std::string machine = Machine();
  if (FitsInterpreter(ParseWheelName(distribution.filename), python_tag, machine)) return;
  throw base::Error(base::Fault::kInvalid, fmt::format("installing `{}`", distribution.Label()))
      .Because(fmt::format("`{}` is not for Python {} on {}", distribution.filename, python_tag,
                           machine));
}

WorkerReport RunWorker(store::Store& store, WorkerClient& workers, const Distribution& distribution,
                       const std::string& python_tag, const store::Staging& staging,
                       const base::CancelToken* cancel) {
  const std::string key = distribution.WheelKey();
  const std::optional<store::EntryInfo> wheel = store.Find(store::Kind::kWheel, key);
  if (!wheel.has_value()) {
    throw base::Error(base::Fault::kHost, "reading its download")
        .Because("it was removed from the store while it was wanted")
        .Hint("run the command again");
  }
  const base::UniqueFd file = base::OpenAt(
      store.dir(), store::Store::PathOf(store::Kind::kWheel, key) + "/" + WheelFile(*wheel),
      O_RDONLY);
  // Whatever id the worker has: nobody else can reach a staging directory, and normalising takes
  // this back.
  if (fchmod(staging.tree(), 0777) < 0)
    base::ThrowErrno("opening a staging directory to its worker");
  WorkerJob job;
  job.command = "install-wheel";
  job.request = nlohmann::json({{"name", distribution.name},
                                {"version", distribution.version},
                                {"python_tag", python_tag}})
                    .dump();
  job.files = {file.get()};
  job.mounts = {{"/out", runtime::StorePath{staging.tree_path(), true, true}}};
  return ReadReport(workers.Run(job, {}, cancel));
}

}  // namespace

std::string PackageKey(const Distribution& distribution, const std::string& python_tag) {
  base::Sha256 hash;
  hash.AddField("package");
  hash.AddField(kPackageVersion);
  hash.AddField(distribution.WheelKey());
  hash.AddField(python_tag);
  hash.AddField(kEnvironmentPrefix);
  return hash.Finish().hex();
}

store::NewEntry PreparePackage(store::Store& store, WorkerClient& workers,
                               const Distribution& distribution, const std::string& python_tag,
                               const base::CancelToken* cancel) {
  CheckFits(distribution, python_tag);
  try {
    store::Staging staging = store.NewStaging();
    const WorkerReport report =
        RunWorker(store, workers, distribution, python_tag, staging, cancel);
    if (report.dist_info.find('/') != std::string::npos)
      Disagree(report.dist_info, "it is no name of a folder");
    store::Normalise(staging.tree());
    const store::Manifest manifest = store::ManifestOf(staging.tree());
    const WheelLayout layout{report.dist_info, "", distribution.name, python_tag};
    CheckTree(report, manifest, layout);
    store::EntryInfo info;
    info.kind = store::Kind::kPackage;
    info.key = PackageKey(distribution, python_tag);
    info.name = distribution.Label();
    info.meta = EncodeMeta(Describe(distribution, layout, report));
    info.output = manifest.digest();
    info.bytes = manifest.bytes;
    info.files = manifest.files;
    return {std::move(staging), std::move(info)};
  } catch (base::Error& error) {
    error.While(
        fmt::format("installing `{}` from `{}`", distribution.Label(), distribution.filename));
    throw;
  }
}

PackageMeta ReadPackageMeta(const store::EntryInfo& package) {
  try {
    const nlohmann::json meta = nlohmann::json::parse(package.meta);
    if (meta.at("version") != 2) throw base::Error(base::Fault::kBug, "its version is not known");
    return {meta.at("distribution"),
            meta.at("distribution_version"),
            meta.at("python_tag"),
            meta.at("dist_info"),
            meta.at("top_level"),
            meta.at("pth"),
            ReadLibraries(meta.at("libraries"))};
  } catch (const nlohmann::json::exception& error) {
    throw base::Error(base::Fault::kBug, fmt::format("reading the record of `{}`", package.name))
        .Because(base::Printable(error.what()));
  }
}

std::vector<PackageFile> ReadPackageFiles(int tree, const store::EntryInfo& package) {
  const PackageMeta meta = ReadPackageMeta(package);
  const WheelLayout layout{meta.dist_info, "", meta.name, meta.python_tag};
  const std::string path = layout.SitePackages() + "/" + layout.dist_info + "/RECORD";
  std::vector<PackageFile> files;
  for (RecordRow& row : ParseRecord(base::ReadAt(tree, path, kRecordLimit))) {
    files.push_back({PathOfRecord(layout, row.path), row.sha256, row.size.value_or(0)});
  }
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

}  // namespace rundlet::rootfs
