#include "engine/run/package_uses.h"

#include <fcntl.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "rootfs/packages/bytecode.h"
#include "rootfs/packages/package.h"

namespace rundlet::engine {
namespace {

using nlohmann::json;

constexpr const char* kUsesFile = "packages.json";
constexpr size_t kUsesLimit = 64 << 20;

json PackagesOf(const rootfs::Lock& lock, const rootfs::Interpreter& interpreter) {
  json packages = json::array();
  for (const rootfs::Distribution& one : lock.distributions) {
    const std::string package = rootfs::PackageKey(one, interpreter.tag);
    packages.push_back({one.name, one.version, package, rootfs::LowerKey(package, interpreter)});
  }
  return packages;
}

void AddUses(const json& document, const data::RunRecord& run, std::vector<PackageUse>& uses) {
  for (const json& step : document.at("steps")) {
    for (const json& package : step.at("packages")) {
      uses.push_back({.run = run.id,
                      .project = run.project,
                      .step = step.at("step"),
                      .name = package.at(0),
                      .version = package.at(1),
                      .package = package.at(2),
                      .lower = package.at(3)});
    }
  }
}

}  // namespace

void RecordPackageUses(const data::Run& run, const PlannedProject& planned) {
  json steps = json::array();
  for (const auto& [image, lock] : planned.engine_locks) {
    steps.push_back(
        {{"step", ""}, {"packages", PackagesOf(lock, planned.images.at(image).interpreter)}});
  }
  for (const auto& [name, lock] : planned.locks) {
    const plans::Step* step = plans::FindStep(planned.pipeline, name);
    RUNDLET_CHECK(step != nullptr);
    steps.push_back({{"step", name.text()},
                     {"packages", PackagesOf(lock, planned.images.at(step->image).interpreter)}});
  }
  const json document = {{"version", 1}, {"steps", std::move(steps)}};
  base::ReplaceAt(run.dir(), kUsesFile, document.dump() + "\n", 0600, base::Durability::kNone);
}

std::vector<PackageUse> ListPackageUses(Engine& engine) {
  std::vector<PackageUse> uses;
  for (const data::RunRecord& run : data::ListRuns(engine.store())) {
    const std::string path = fmt::format("runs/{}/{}", run.id, kUsesFile);
    const auto file = base::TryOpenAt(engine.store().dir(), path, O_RDONLY);
    if (!file.has_value()) continue;
    try {
      AddUses(json::parse(base::ReadFd(file->get(), kUsesLimit, path)), run, uses);
    } catch (const json::exception&) {
      continue;  // cut short by a crash: the run did not get to its steps
    }
  }
  return uses;
}

}  // namespace rundlet::engine
