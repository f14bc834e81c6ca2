// `rundlet gc`: what nobody needs any more leaves the state directory.
//
// Owners: an image owns its layers, its interpreter the bytecode and the venv made for it; a lock
// owns its wheels and packages; this program owns the skeleton of image roots and its resolver.
// What has an owner, or is leased by any process, stays. Locks and caches, that of the resolver
// among them, go when they were not used for a time that the caller names, or are more than it
// allows. The rest of the state directory (records, history, tables, other caches) is not collected
// here, but told.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "engine/core/engine.h"

namespace rundlet::engine {

struct GcItem {
  std::string path;   // relative to the state directory: "layers/<key>", "runs"
  std::string name;   // for people; may be empty
  std::string owner;  // "image python:3.12"; empty: nobody
  uint64_t bytes = 0;
  enum class Fate { kKept, kInUse, kRemoved };
  Fate fate = Fate::kKept;  // in a dry run kRemoved: it would be
};

enum class GcMode { kRemove, kDryRun };

struct GcRequest {
  GcMode mode = GcMode::kRemove;
  // Of locks and caches; absent: they all stay.
  std::optional<std::chrono::seconds> unused_for;
  std::optional<uint64_t> max_bytes;  // least recently used first, as much as leaves at most this
};

// Locks and caches that are too old, then, least recently used first, as many as are too much, but
// for those used within the last hour. In a dry run they stay. Throws base::Error.
std::vector<GcItem> RemoveReusable(store::Store& store, const GcRequest& request);

// Everything that is there, in order of path. Throws base::Error; what was removed stays removed.
std::vector<GcItem> CollectGarbage(Engine& engine, const GcRequest& request,
                                   const base::CancelToken* cancel);

}  // namespace rundlet::engine
