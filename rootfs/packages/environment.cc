#include "rootfs/packages/environment.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "rootfs/formats/wheel_paths.h"

namespace rundlet::rootfs {
namespace {

// Modules of the standard library for which the package index has old backports. site-packages come
// after the standard library, so the backport is never seen.
constexpr std::array<std::string_view, 10> kBackported = {
    "argparse",  "asyncio", "contextvars", "dataclasses", "enum",
    "ipaddress", "pathlib", "statistics",  "typing",      "uuid"};

constexpr size_t kMostHidden = 20;  // files, told of one environment

std::vector<const InstalledDistribution*> Ordered(const EnvironmentParts& parts) {
  std::vector<const InstalledDistribution*> ordered;
  for (const InstalledDistribution& one : parts.distributions) ordered.push_back(&one);
  const auto rank = [&](const InstalledDistribution* one) {
    const auto& preferred = parts.preferred;
    return std::find(preferred.begin(), preferred.end(), one->distribution.name) -
           preferred.begin();
  };
  std::sort(ordered.begin(), ordered.end(), [&](const auto* a, const auto* b) {
    return std::pair(rank(a), a->distribution.name) < std::pair(rank(b), b->distribution.name);
  });
  return ordered;
}

void CheckParts(const EnvironmentParts& parts) {
  std::vector<std::string> names;
  for (const InstalledDistribution& one : parts.distributions)
    names.push_back(one.distribution.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  const auto refuse = [](std::string cause) {
    throw base::Error(base::Fault::kInvalid, "putting an environment together")
        .Because(std::move(cause));
  };
  if (twice != names.end()) refuse(fmt::format("`{}` is in it twice", *twice));
  for (const std::string& name : parts.preferred) {
    if (!std::binary_search(names.begin(), names.end(), name)) {
      refuse(fmt::format("`{}` is to be preferred and is not in it", name));
    }
  }
}

}  // namespace

Environment Compose(const EnvironmentParts& parts) {
  CheckParts(parts);
  Environment environment;
  base::Sha256 hash;
  hash.AddField("environment 1");
  hash.AddField(parts.interpreter.identity.hex());
  hash.AddField(parts.venv_key);
  for (const InstalledDistribution* one : Ordered(parts)) {
    hash.AddField(one->package.key);
    const store::EntryInfo& entry = one->lower.has_value() ? *one->lower : one->package;
    environment.lowers.push_back(store::Store::PathOf(entry.kind, entry.key));
  }
  // A choice may leave the order as it was, and yet allows what is refused without it.
  for (const std::string& name : parts.preferred) {
    hash.AddField("preferred");
    hash.AddField(name);
  }
  environment.lowers.push_back(store::Store::PathOf(store::Kind::kSkeleton, parts.venv_key));
  environment.digest = hash.Finish();
  return environment;
}

runtime::Mount EnvironmentMount(const Environment& environment) {
  return {std::string(kEnvironmentPrefix), runtime::Layers{environment.lowers, false, false}};
}

BoundEnvironment BindEnvironment(const Environment& environment, const Interpreter& interpreter) {
  BoundEnvironment bound;
  bound.mounts.push_back(
      {std::string(kEnvironmentPrefix), runtime::StorePath{environment.lowers.back()}});
  std::vector<std::string> programs = {fmt::format("{}/bin", kEnvironmentPrefix)};
  std::vector<std::string> modules;
  WheelLayout layout;
  layout.python_tag = interpreter.tag;
  for (size_t i = 0; i + 1 < environment.lowers.size(); ++i) {
    const std::string prefix = fmt::format("{}/{}", kPackagesPrefix, i);
    bound.mounts.push_back({prefix, runtime::StorePath{environment.lowers[i]}});
    programs.push_back(prefix + "/bin");
    modules.push_back(fmt::format("{}/{}", prefix, layout.SitePackages()));
  }
  bound.programs = base::Join(programs, ":");
  bound.modules = base::Join(modules, ":");
  return bound;
}

std::vector<std::string> CheckEnvironment(store::Store& store, const EnvironmentParts& parts) {
  CheckParts(parts);
  std::vector<DistributionFiles> files;
  std::vector<std::string> warnings;
  for (const InstalledDistribution* one : Ordered(parts)) {
    const base::UniqueFd tree =
        base::OpenAt(store.dir(), store::Store::PathOf(one->package.kind, one->package.key),
                     O_PATH | O_DIRECTORY);
    files.push_back({one->distribution.Label(), one->distribution.name,
                     ReadPackageFiles(tree.get(), one->package)});
    for (const std::string& name : ReadPackageMeta(one->package).top_level) {
      if (std::find(kBackported.begin(), kBackported.end(), name) == kBackported.end()) continue;
      warnings.push_back(fmt::format("`{}` brings `{}`, which Python's own standard library hides",
                                     one->distribution.Label(), name));
    }
  }
  const std::vector<Collision> collisions = FindCollisions(files, {parts.preferred});
  for (size_t i = 0; i < std::min(collisions.size(), kMostHidden); ++i) {
    const Collision& collision = collisions[i];
    warnings.push_back(fmt::format("`{}` of `{}` is hidden by that of `{}`",
                                   base::Printable(collision.path), collision.loser,
                                   collision.winner));
  }
  if (collisions.size() > kMostHidden) {
    warnings.push_back(
        fmt::format("{} more files are hidden by others", collisions.size() - kMostHidden));
  }
  return warnings;
}

}  // namespace rundlet::rootfs
