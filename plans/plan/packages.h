// Private: the fetch and install tasks of a plan. One of each for a wheel (and an interpreter),
// whoever shares it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "plans/plan/facts.h"
#include "plans/plan/plan.h"

namespace rundlet::plans {

class Packages {
 public:
  // Index of a package; becomes a task with Emit.
  using Index = uint32_t;

  // The packages of an environment that `user` (a step or a table) runs in. `runs`: it does run,
  // and needs them.
  std::vector<Index> Add(const Environment& environment, const base::Digest& interpreter,
                         const ImageName& image, const std::string& user, Action action);
  // Appends the tasks, by name and version; to be called once, after every Add.
  void Emit(const Facts& facts, std::vector<Task>& tasks);
  // The install tasks, after Emit.
  void AppendTasks(const std::vector<Index>& packages, std::vector<TaskId>& needs) const;

 private:
  struct Package {
    const Distribution* distribution = nullptr;  // of the facts
    base::Digest interpreter;
    ImageName image;                 // the first by name of those with the interpreter
    std::vector<std::string> users;  // that run; each once, in the order of Add
  };
  struct HashOfKey {
    size_t operator()(const InstalledPackage& key) const;
  };

  void EmitFetches(const Facts& facts, const std::vector<Index>& order, std::vector<Task>& tasks);
  Task InstallTask(const Facts& facts, const Package& package) const;

  std::vector<Package> packages_;
  std::unordered_map<InstalledPackage, Index, HashOfKey> index_;
  std::map<base::Digest, TaskId> fetches_;  // by wheel
  std::vector<TaskId> installs_;            // by index
};

}  // namespace rundlet::plans
