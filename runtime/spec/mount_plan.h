// The file tree of a sandbox, as a value: built by rootfs and the engine, carried out by the
// launcher.
//
// A plan is printable, comparable and hashable. It names things in three ways only: by a path
// relative to the state directory, by the number of a descriptor that travels with the request, or
// by content.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace rundlet::runtime {

// Directories of the state directory stacked read-only by overlayfs, topmost first, at most 500.
struct Layers {
  std::vector<std::string> paths;  // relative to the state directory
  // Shift owners into the sandbox's id range (image layers). Package directories are
  // world-readable: no shift.
  bool idmapped = false;
  // Put a writable layer on top, kept in the sandbox's scratch memory and gone with it.
  bool writable = false;
  bool operator==(const Layers&) const = default;
};

// A file or directory of the state directory, as it is.
struct StorePath {
  std::string path;  // relative to the state directory
  bool writable = false;
  bool idmapped =
      false;  // owners shifted: what the sandbox's root creates belongs to uid 0 on disk
  bool operator==(const StorePath&) const = default;
};

// A detached mount made by the engine (open_tree) from a path its user named, or held for a run.
struct HandedMount {
  uint32_t index = 0;  // into SandboxRequest::mounts
  bool writable = false;
  bool operator==(const HandedMount&) const = default;
};

// Fresh memory, counted in the sandbox's scratch; the directories on one plan share one tmpfs and
// its limit.
struct Scratch {
  uint32_t mode = 01777;
  bool operator==(const Scratch&) const = default;
};

// A read-only tmpfs with only these entries, for programs of ours that bring no image.
struct Skeleton {
  std::vector<std::string> directories;                    // mount points
  std::vector<std::pair<std::string, std::string>> links;  // path, target
  bool operator==(const Skeleton&) const = default;
};

enum class ProcView {
  kOwnProcesses,
  kFull
};  // subset=pid, or a full procfs of the sandbox's pid namespace
struct Proc {
  ProcView view = ProcView::kOwnProcesses;
  bool operator==(const Proc&) const = default;
};

struct Devices {  // null, zero, full, random, urandom, tty, pts, shm, and the usual links
  bool operator==(const Devices&) const = default;
};

using MountSource = std::variant<Layers, StorePath, HandedMount, Scratch, Skeleton, Proc, Devices>;

struct Mount {
  std::string
      target;  // absolute, plain; resolved inside the sandbox's root, never through its links
  MountSource source;
  bool operator==(const Mount&) const = default;
};

// Mounted in this order; the first target is "/".
struct MountPlan {
  std::vector<Mount> mounts;
  bool operator==(const MountPlan&) const = default;
};

// One line a mount, for people and golden files.
std::string Describe(const MountPlan& plan);

}  // namespace rundlet::runtime
