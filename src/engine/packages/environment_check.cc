#include "engine/packages/environment_check.h"

#include <fcntl.h>

#include <algorithm>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "rootfs/packages/libraries.h"
#include "rootfs/packages/package.h"

namespace rundlet::engine {
namespace {

constexpr size_t kWarningsLimit = 1 << 20;
constexpr size_t kLibrariesLimit = 8 << 20;
constexpr size_t kMostMissing = 20;  // told of one environment

std::string JoinLines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::optional<std::vector<std::string>> ReadLines(Engine& engine, const std::string& path,
                                                  size_t limit) {
  const auto kept = base::TryOpenAt(engine.store().dir(), path, O_RDONLY);
  if (!kept.has_value()) return std::nullopt;
  const std::string text = base::ReadFd(kept->get(), limit, path);
  if (text.empty()) return std::vector<std::string>();
  return base::Split(std::string_view(text).substr(0, text.size() - 1), '\n');
}

void KeepLines(Engine& engine, const std::string& folder, const std::string& path,
               const std::vector<std::string>& lines) {
  base::MakeDirs(engine.store().dir(), folder, 0700);
  base::ReplaceAt(engine.store().dir(), path, JoinLines(lines), 0600, base::Durability::kNone);
}

std::string WarningsPath(const rootfs::Image& image, const base::Digest& environment) {
  return fmt::format("cache/environments/{}-{}", environment.hex(), image.manifest_digest.hex());
}

std::vector<std::string> LibrariesOf(Engine& engine, const rootfs::Image& image) {
  const std::string path = "cache/libraries/" + image.manifest_digest.hex();
  if (auto kept = ReadLines(engine, path, kLibrariesLimit)) return *std::move(kept);
  std::vector<std::string> libraries = rootfs::ListLibraries(engine.workers(), image, nullptr);
  // A name with a line break is no library's.
  std::erase_if(libraries, [](const std::string& name) { return name.find('\n') != name.npos; });
  KeepLines(engine, "cache/libraries", path, libraries);
  return libraries;
}

void AddMissingLibraries(Engine& engine, const rootfs::Image& image,
                         const rootfs::EnvironmentParts& parts,
                         std::vector<std::string>& warnings) {
  std::vector<rootfs::PackageMeta> packages;
  bool any = false;
  for (const rootfs::InstalledDistribution& one : parts.distributions) {
    packages.push_back(rootfs::ReadPackageMeta(one.package));
    any = any || !packages.back().libraries.empty();
  }
  if (!any) return;
  std::vector<rootfs::MissingLibrary> missing =
      rootfs::FindMissingLibraries(packages, LibrariesOf(engine, image), image.interpreter.libc);
  if (missing.size() > kMostMissing) missing.resize(kMostMissing);
  for (const rootfs::MissingLibrary& one : missing) {
    warnings.push_back(fmt::format(
        "`{}` needs the library `{}` (for `{}`), which neither image `{}` nor a package has: "
        "importing that part fails; use an image that has it",
        one.label, base::Printable(one.soname), base::Printable(one.path), image.name));
  }
}

}  // namespace

std::vector<std::string> CheckOnce(Engine& engine, const rootfs::Image& image,
                                   const rootfs::EnvironmentParts& parts,
                                   const base::Digest& environment) {
  if (auto kept = KeptWarnings(engine, image, environment)) return *std::move(kept);
  std::vector<std::string> warnings = rootfs::CheckEnvironment(engine.store(), parts);
  AddMissingLibraries(engine, image, parts, warnings);
  KeepLines(engine, "cache/environments", WarningsPath(image, environment), warnings);
  return warnings;
}

std::optional<std::vector<std::string>> KeptWarnings(Engine& engine, const rootfs::Image& image,
                                                     const base::Digest& environment) {
  return ReadLines(engine, WarningsPath(image, environment), kWarningsLimit);
}

}  // namespace rundlet::engine
