#include "plans/plan/packages.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <tuple>

#include "base/error.h"
#include "plans/shown_text.h"

namespace rundlet::plans {
namespace {

constexpr size_t kShownUsers = 2;

std::string NeededBy(const std::vector<std::string>& users) {
  return fmt::format("needed by {}", NameSome(users, kShownUsers));
}

Task TaskFor(TaskKind kind, const Distribution& distribution) {
  Task task;
  task.kind = kind;
  task.name = fmt::format("{} {}", distribution.name, distribution.version);
  task.distribution = distribution;
  task.bytes = distribution.bytes;
  return task;
}

}  // namespace

size_t Packages::HashOfKey::operator()(const InstalledPackage& key) const {
  uint64_t wheel;
  uint64_t interpreter;
  std::memcpy(&wheel, key.wheel.bytes().data(), sizeof wheel);
  std::memcpy(&interpreter, key.interpreter.bytes().data(), sizeof interpreter);
  return wheel ^ (interpreter * 0x9E3779B97F4A7C15);
}

std::vector<Packages::Index> Packages::Add(const Environment& environment,
                                           const base::Digest& interpreter, const ImageName& image,
                                           const std::string& user, Action action) {
  std::vector<Index> indices;
  indices.reserve(environment.distributions.size());
  for (const Distribution& distribution : environment.distributions) {
    const auto next = static_cast<Index>(packages_.size());
    const auto [entry, fresh] = index_.try_emplace({distribution.sha256, interpreter}, next);
    if (fresh) packages_.push_back({&distribution, interpreter, image, {}});
    Package& package = packages_[entry->second];
    package.image = std::min(package.image, image);
    if (action == Action::kRun && (package.users.empty() || package.users.back() != user)) {
      package.users.push_back(user);
    }
    indices.push_back(entry->second);
  }
  return indices;
}

void Packages::Emit(const Facts& facts, std::vector<Task>& tasks) {
  std::vector<Index> order(packages_.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::sort(order.begin(), order.end(), [&](Index a, Index b) {
    return std::tie(*packages_[a].distribution, packages_[a].interpreter) <
           std::tie(*packages_[b].distribution, packages_[b].interpreter);
  });
  EmitFetches(facts, order, tasks);
  installs_.resize(packages_.size());
  for (const Index index : order) {
    installs_[index] = {static_cast<uint32_t>(tasks.size())};
    tasks.push_back(InstallTask(facts, packages_[index]));
  }
}

void Packages::EmitFetches(const Facts& facts, const std::vector<Index>& order,
                           std::vector<Task>& tasks) {
  std::map<base::Digest, std::vector<std::string>> users;  // of wheels to install
  for (const Index index : order) {
    const Package& package = packages_[index];
    const base::Digest& wheel = package.distribution->sha256;
    std::vector<std::string>& all = users[wheel];
    if (facts.installed.contains({wheel, package.interpreter})) continue;
    all.insert(all.end(), package.users.begin(), package.users.end());
  }
  for (const Index index : order) {
    const Distribution& distribution = *packages_[index].distribution;
    const auto id = static_cast<uint32_t>(tasks.size());
    if (!fetches_.try_emplace(distribution.sha256, TaskId{id}).second) continue;
    Task task = TaskFor(TaskKind::kFetch, distribution);
    const std::vector<std::string>& needed_by = users[distribution.sha256];
    if (facts.fetched.contains(distribution.sha256)) {
      task.action = Action::kCached;
      task.reason = "fetched";
    } else if (needed_by.empty()) {
      task.action = Action::kNotNeeded;
      task.reason = "nothing installs it";
    } else {
      task.reason = NeededBy(needed_by);
    }
    base::Sha256 hash;
    hash.AddField("rundlet fetch 1");
    hash.AddField(distribution.sha256.hex());
    task.fingerprint = hash.Finish();
    tasks.push_back(std::move(task));
  }
}

Task Packages::InstallTask(const Facts& facts, const Package& package) const {
  const base::Digest& wheel = package.distribution->sha256;
  Task task = TaskFor(TaskKind::kInstall, *package.distribution);
  task.image = package.image;
  task.needs = {fetches_.at(wheel)};
  if (facts.installed.contains({wheel, package.interpreter})) {
    task.action = Action::kCached;
    task.reason = "installed";
  } else if (package.users.empty()) {
    task.action = Action::kNotNeeded;
    task.reason = "nothing that runs needs it";
  } else {
    task.reason = NeededBy(package.users);
  }
  base::Sha256 hash;
  hash.AddField("rundlet install 1");
  hash.AddField(wheel.hex());
  hash.AddField(package.interpreter.hex());
  task.fingerprint = hash.Finish();
  return task;
}

void Packages::AppendTasks(const std::vector<Index>& packages, std::vector<TaskId>& needs) const {
  for (const Index index : packages) needs.push_back(installs_[index]);
}

}  // namespace rundlet::plans
