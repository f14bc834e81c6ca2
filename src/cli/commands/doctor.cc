// rundlet doctor: what this host offers, and what is used instead of what is missing.
#include <sys/statvfs.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "cli/options.h"
#include "cli/options/own_scope.h"
#include "cli/terminal/output.h"
#include "cli/terminal/table_text.h"
#include "runtime/cgroup/engine_groups.h"
#include "runtime/probes/kernel_features.h"

namespace rundlet::cli {
namespace {

runtime::Feature SpaceOf(const engine::Engine& engine, int state) {
  struct statvfs info {};
  runtime::Feature feature = {
      .name = "space for the state directory", .detail = {}, .otherwise = {}};
  if (fstatvfs(state, &info) < 0) return feature;
  const uint64_t free = uint64_t{info.f_bavail} * info.f_frsize;
  feature.available = free > (uint64_t{1} << 30) && info.f_favail > 100'000;
  feature.detail = fmt::format("{}: {} and {} files free", engine.config().state_dir,
                               base::HumanBytes(free), base::Grouped(info.f_favail));
  feature.otherwise = "installs will fail soon";
  return feature;
}

// What is told of limits is what a command that asks for one would find.
void BeWhereLimitsAre() {
  try {
    runtime::EngineGroups(runtime::HierarchiesOfThisProcess())
        .Require({.memory = {}, .cpus = {}, .pids = 1});
  } catch (base::Error& error) {
    RetryInOwnScope(error);
  }
}

// Where a sandbox of the host's programs looks for it (engine/locks/git_tree.cc).
runtime::Feature Git() {
  return {.name = "git",
          .available = access("/usr/bin/git", X_OK) == 0,
          .detail = "/usr/bin/git",
          .otherwise = "requirements of git repositories fail"};
}

int RunDoctor(const Context& context) {
  BeWhereLimitsAre();
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  std::vector<runtime::Feature> features = runtime::ProbeFeatures(engine->store().dir());
  features.push_back(SpaceOf(*engine, engine->store().dir()));
  features.push_back(Git());
  features.push_back({.name = "package index",
                      .available = true,
                      .detail = engine->config().index_url + " (RUNDLET_INDEX)",
                      .otherwise = {}});
  bool good = true;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  TableText table({{"FEATURE"}, {"HERE"}, {"DETAIL"}});
  for (const runtime::Feature& feature : features) {
    good = good && (feature.available || !feature.required);
    list.push_back({{"name", feature.name},
                    {"available", feature.available},
                    {"required", feature.required},
                    {"detail", feature.detail},
                    {"otherwise", feature.otherwise}});
    const std::string instead =
        feature.available || feature.otherwise.empty() ? "" : "; " + feature.otherwise;
    table.AddRow({feature.name,
                  feature.available  ? "yes"
                  : feature.required ? "MISSING"
                                     : "no",
                  feature.detail + instead});
  }
  if (context.options.output == Output::kJson) {
    fmt::print("{}\n", list.dump(2));
  } else {
    fmt::print("{}", table.Render());
    Say("{}\n", good ? "sandboxes can run on this host" : "sandboxes cannot run on this host");
  }
  return good ? 0 : static_cast<int>(base::Fault::kHost);
}

}  // namespace

void AddDoctor(CLI::App& program, Context& context) {
  program
      .add_subcommand("doctor",
                      "What this host offers, and what is used instead of what is missing")
      ->callback([&context] { context.exit_code = RunDoctor(context); });
}

}  // namespace rundlet::cli
