// Where this host's control groups are, read from what the kernel says about this process.
//
// Three arrangements are common: v2 alone; v1 with one hierarchy a controller; and both beside each
// other (hybrid), each controller in one of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/spec/controllers.h"

namespace rundlet::runtime {

struct Hierarchy {
  GroupVersion version = GroupVersion::kV2;
  Controllers controllers;  // v1: those bound to it; v2: not known from here
  std::string mount_point;
  std::string own;  // this process's group below the mount point: "/a/b"; "" for the mount's root
  bool operator==(const Hierarchy&) const = default;
};

// Of the texts of /proc/self/mountinfo and /proc/self/cgroup. A v1 hierarchy without a controller
// of ours, and one whose mount does not show this process's own group, is left out; of several
// mounts of one hierarchy the first counts.
std::vector<Hierarchy> FindHierarchies(std::string_view mountinfo, std::string_view own_groups);

}  // namespace rundlet::runtime
