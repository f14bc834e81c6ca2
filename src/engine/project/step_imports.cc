#include "engine/project/step_imports.h"

#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "rootfs/packages/package.h"

namespace rundlet::engine {
namespace {

std::pair<int, int> MinorOf(const std::string& tag) {  // "3.11"
  return {std::stoi(tag), std::stoi(tag.substr(tag.find('.') + 1))};
}

// The reader does not know the standard library of a newer Python than its own.
bool KnowsStandardLibrary(const PlannedProject& planned, const rootfs::Image& image) {
  const rootfs::Image& reader = planned.images.at(planned.pipeline.engine_image);
  return MinorOf(image.interpreter.tag) <= MinorOf(reader.interpreter.tag);
}

// Absent: cannot be told, for want of a package or because a .pth file may add directories.
std::optional<std::set<std::string>> ModulesOf(Engine& engine, const rootfs::Image& image,
                                               const rootfs::Lock& lock) {
  std::set<std::string> modules;
  for (const rootfs::Distribution& distribution : lock.distributions) {
    const auto entry = engine.store().Find(store::Kind::kPackage,
                                           rootfs::PackageKey(distribution, image.interpreter.tag));
    if (!entry.has_value()) return std::nullopt;
    rootfs::PackageMeta meta = rootfs::ReadPackageMeta(*entry);
    if (meta.has_pth) return std::nullopt;
    modules.insert(meta.top_level.begin(), meta.top_level.end());
  }
  return modules;
}

void CheckStep(Engine& engine, const PlannedProject& planned, const plans::Step& step) {
  const auto lock = planned.locks.find(step.name);
  const rootfs::Image& image = planned.images.at(step.image);
  if (step.imports.empty() || lock == planned.locks.end() || !KnowsStandardLibrary(planned, image))
    return;
  const std::optional<std::set<std::string>> modules = ModulesOf(engine, image, lock->second);
  if (!modules.has_value()) return;
  for (const plans::Import& import : step.imports) {
    // Packages are recorded with the names that are ASCII.
    if (modules->contains(import.name) || !plans::IsIdentifier(import.name)) continue;
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("{}:{}: importing `{}` for step `{}`", step.place.file,
                                  import.line, base::Printable(import.name), step.name.text()))
        .Because("none of the step's packages has a module of that name")
        .Hint(
            "add the package that has it to the step's `pip`, or move the import into the function "
            "that uses it");
  }
}

}  // namespace

void CheckImports(Engine& engine, const PlannedProject& planned) {
  for (const plans::Task& task : planned.plan.tasks) {
    if (task.action != plans::Action::kRun || task.step.empty()) continue;
    const plans::Step* step = FindStep(planned.pipeline, task.step);
    if (step != nullptr) CheckStep(engine, planned, *step);
  }
}

}  // namespace rundlet::engine
