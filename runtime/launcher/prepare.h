// Turns a SandboxSpec into the flat record the child carries out: every mount made, every string in
// place.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "runtime/child/prepared.h"
#include "runtime/spec/sandbox_spec.h"

namespace rundlet::runtime {

// A mount of the plan could not be made; `index` says which.
struct MountFailure {
  uint32_t index;
  int error_number;
};

// Mounts that outlive one sandbox: id-shifted stores and read-only overlays, attached in the
// private root.
class MountCache {
 public:
  // The path below which the store is seen with this range's owners ("/ids/BASE"); "/store" without
  // a shift.
  std::string StoreFor(const IdRange& ids, bool idmapped);
  // A detached clone of the read-only overlay of these layers.
  base::UniqueFd ReadOnlyOverlay(const std::string& store, const Layers& layers);

  // Of the root of these layers: all but what no program but root can write or enter, and empty
  // directories of the same kind. Null until LookInto has looked.
  const std::vector<std::string>* EntriesOf(const std::string& store, const Layers& layers);
  void LookInto(const std::string& store, const Layers& layers, const IdRange& ids);

 private:
  struct Kept {
    std::vector<std::string> key;
    std::string path;
    std::optional<std::vector<std::string>> entries;
  };
  Kept* Find(const std::string& store, const Layers& layers);
  std::map<uint64_t, std::string> stores_;  // base << 32 | count
  std::list<Kept> overlays_;                // most recently used first
  uint64_t next_ = 0;
};

// What belongs to the sandbox being started. Its scratch memory is attached at /scratch until
// destruction.
class Preparation {
 public:
  // `handed` are detached mounts, consumed as they are used. Throws MountFailure.
  Preparation(MountCache& cache, const SandboxSpec& spec, std::vector<base::UniqueFd> handed);
  ~Preparation();
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;

  Prepared& record() { return record_; }
  // For the next sandbox with the same root.
  void Learn(MountCache& cache) const noexcept;

 private:
  void AddMount(MountCache& cache, const SandboxSpec& spec, uint32_t index);
  void AddDevices(uint32_t index);
  void AddScratch(const char* target, uint32_t mode, uint32_t index);
  void AddProcFiles(const SandboxSpec& spec, const std::string& target, uint32_t index);
  PreparedMount& AddAttached(base::UniqueFd mount, const char* target, uint32_t index);
  PreparedMount& AddFromScratch(const std::string& name, const char* target, uint32_t index);
  void UseEntries(const std::vector<std::string>* entries, const Layers& layers);
  base::UniqueFd WritableOverlay(const std::string& store, const Layers& layers);
  base::UniqueFd SkeletonRoot(const SandboxSpec& spec, const Skeleton& skeleton);
  std::string NewScratchDirectory(uint32_t mode);
  void Attach(const SandboxSpec& spec);
  const char* Keep(std::string text);
  PreparedMount& Add(PreparedMount::Kind kind, const char* target, uint32_t index);

  Prepared record_{};
  IdRange ids_;
  std::vector<base::UniqueFd> handed_;
  std::vector<base::UniqueFd> owned_;
  std::list<std::string> texts_;  // stable addresses for the record
  std::vector<char*> argv_;
  std::vector<char*> environment_;
  std::vector<char*> programs_;
  std::vector<const char*> entries_;
  std::optional<Layers> unknown_;  // the root, if its entries were not known
  base::UniqueFd scratch_;         // the directory /scratch, once mounted
  unsigned scratch_count_ = 0;
};

}  // namespace rundlet::runtime
