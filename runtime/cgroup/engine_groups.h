// The control groups of one engine: a directory in each hierarchy, below the engine's own group, so
// that what limits the engine limits its sandboxes too. The launcher makes one group a sandbox in
// it.
//
// Each directory is locked (flock) while its engine and launcher live. Whoever makes some next
// removes those that nobody locks: what a kill -9 left. Thread safety: everything may be called
// from several threads.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "runtime/cgroup/files.h"
#include "runtime/cgroup/hierarchies.h"
#include "runtime/spec/controllers.h"
#include "runtime/spec/limits.h"

namespace rundlet::runtime {

struct GroupDirectory {
  GroupKind kind;
  std::string place;  // the host's name of the directory it lies in
  base::UniqueFd parent;
  std::string name;
  base::UniqueFd dir;  // locked
};

// A limit needs a control group, and this process's belongs to somebody else.
class NotDelegated : public base::Error {
 public:
  explicit NotDelegated(base::Error error) : Error(std::move(error)) {}
};

class EngineGroups {
 public:
  // Sweeps and makes the directories. A host where that cannot be done is no error: WhyNot tells.
  explicit EngineGroups(const std::vector<Hierarchy>& hierarchies);
  // Removes them. All sandboxes and the launcher must be gone.
  ~EngineGroups();
  EngineGroups(const EngineGroups&) = delete;
  EngineGroups& operator=(const EngineGroups&) = delete;

  const std::vector<GroupDirectory>& directories() const { return directories_; }
  bool Has(Controller controller) const;
  // For a controller that is not there.
  std::string WhyNot(Controller controller) const;
  // Throws base::Error (kHost) that names the controller which one of the limits needs and this
  // host lacks; NotDelegated where another group would have it.
  void Require(const Limits& limits) const;

  GroupUsage UsageOf(uint64_t leaf) const;
  // One in which a process is still ending is removed together with a later one.
  void RemoveLeaf(uint64_t leaf);

 private:
  void Use(const Hierarchy& hierarchy);
  void UseV2(const Hierarchy& hierarchy);
  void Make(GroupKind kind, const std::string& place);

  std::vector<GroupDirectory> directories_;
  std::map<Controller, std::string> why_not_;
  bool delegated_ = true;
  std::mutex mutex_;
  std::vector<uint64_t> busy_;
};

// Those of this process.
std::vector<Hierarchy> HierarchiesOfThisProcess();

}  // namespace rundlet::runtime
