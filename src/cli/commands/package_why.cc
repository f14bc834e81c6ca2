// rundlet package why: the pipelines, steps and runs that use a package.
#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/error.h"
#include "cli/commands/package_commands.h"
#include "cli/options.h"
#include "cli/terminal/output.h"
#include "cli/terminal/table_text.h"
#include "engine/run/package_uses.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/packages/package.h"

namespace rundlet::cli {
namespace {

struct Reason {
  size_t runs = 0;
  std::string last_run;  // newest first in the list they come from
};

void CheckIsInstalled(engine::Engine& engine, const std::string& name) {
  for (const store::EntryInfo& entry : engine.store().List(store::Kind::kPackage)) {
    if (rootfs::ReadPackageMeta(entry).name == name) return;
  }
  throw base::Error(base::Fault::kInvalid, fmt::format("looking for package `{}`", name))
      .Because("it is not installed, and no run that is kept used it")
      .Hint("`rundlet package ls` lists what is there");
}

void ExplainPackage(const std::string& text, const Context& context) {
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  const std::string name = rootfs::NormaliseName(text);
  std::map<std::tuple<std::string, std::string, std::string>, Reason> reasons;
  for (const engine::PackageUse& use : engine::ListPackageUses(*engine)) {
    if (use.name != name) continue;
    Reason& reason = reasons[{use.project, use.step, use.version}];
    if (reason.last_run.empty()) reason.last_run = use.run;
    ++reason.runs;
  }
  if (reasons.empty()) CheckIsInstalled(*engine, name);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  TableText table({{"PIPELINE"}, {"STEP"}, {"VERSION"}, {"RUNS", Align::kRight}, {"LAST RUN"}});
  for (const auto& [key, reason] : reasons) {
    const auto& [project, step, version] = key;
    list.push_back(
        {{"pipeline", project},
         {"step", step.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(step)},
         {"version", version},
         {"runs", reason.runs},
         {"last_run", reason.last_run}});
    table.AddRow({project, step.empty() ? "(rundlet's own steps)" : step, version,
                  std::to_string(reason.runs), reason.last_run});
  }
  if (context.options.output == Output::kJson) {
    fmt::print("{}\n", list.dump(2));
  } else if (reasons.empty()) {
    Say("`{}` is installed; no run that is kept used it\n", name);
  } else {
    fmt::print("{}", table.Render());
  }
}

}  // namespace

void AddPackageWhy(CLI::App& package, Context& context) {
  auto* command = package.add_subcommand("why", "The pipelines, steps and runs that use a package");
  const auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "Name of the package")->required();
  command->callback([name, &context] { ExplainPackage(*name, context); });
}

}  // namespace rundlet::cli
