#include "rootfs/packages/libraries.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "base/json/fields.h"

namespace rundlet::rootfs {
namespace {

// Of a GPU's driver, which comes with the device.
constexpr std::array<std::string_view, 3> kDriverLibraries = {"libcuda.so.", "libnvidia-",
                                                              "libnvcuvid.so."};

// musl is one library and its own loader, which finds itself under any name of these parts.
constexpr std::array<std::string_view, 7> kPartsOfMusl = {
    "libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."};

constexpr size_t kMostLibraries = 1'000'000;

template <size_t N>
bool StartsWithAny(std::string_view soname, const std::array<std::string_view, N>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [soname](std::string_view prefix) { return soname.starts_with(prefix); });
}

}  // namespace

std::vector<std::string> ListLibraries(WorkerClient& workers, const Image& image,
                                       const base::CancelToken* cancel) {
  WorkerJob job;
  job.command = "list-libraries";
  job.request = "{}";
  job.mounts = {BareImageMount(image)};
  const base::DocumentOrigin origin = base::AnswerOf(job.command);
  const nlohmann::json answer = base::ParseJson(workers.Run(job, {}, cancel), origin);
  std::vector<std::string> names;
  for (const nlohmann::json& name : base::Fields(answer, origin).List("libraries", kMostLibraries))
    names.push_back(TextOf(name, origin));
  return names;
}

std::vector<MissingLibrary> FindMissingLibraries(const std::vector<PackageMeta>& packages,
                                                 const std::vector<std::string>& image_libraries,
                                                 const std::string& libc) {
  const bool musl = libc.starts_with("musl");
  const auto comes_along = [musl](std::string_view soname) {
    return StartsWithAny(soname, kDriverLibraries) || (musl && StartsWithAny(soname, kPartsOfMusl));
  };
  std::set<std::string_view> there(image_libraries.begin(), image_libraries.end());
  for (const PackageMeta& package : packages) {
    for (const SharedLibrary& library : package.libraries) {
      there.insert(library.soname);
      there.insert(std::string_view(library.path).substr(library.path.rfind('/') + 1));
    }
  }
  std::vector<MissingLibrary> missing;
  for (const PackageMeta& package : packages) {
    std::set<std::string_view> told;
    for (const SharedLibrary& library : package.libraries) {
      for (const std::string& soname : library.needed) {
        if (there.contains(soname) || comes_along(soname) || !told.insert(soname).second) continue;
        missing.push_back({soname, package.name + " " + package.version, library.path});
      }
    }
  }
  return missing;
}

}  // namespace rundlet::rootfs
