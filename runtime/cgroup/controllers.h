// The controllers of control groups that rundlet uses, and the two interfaces the kernel has.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace rundlet::runtime {

enum class Controller {
  kMemory,
  kPids,
  kCpu,
  kCpuTime,  // only counts; v1's cpuacct, and in every group of v2
};
const char* NameOf(Controller controller);  // as users and the kernel know it: "memory", ...
using Controllers = std::set<Controller>;

enum class GroupVersion { kV1, kV2 };

// "v1:cpu,cpuacct": how the launcher is told what a directory is.
std::string GroupText(GroupVersion version, const Controllers& controllers);
struct GroupKind {
  GroupVersion version = GroupVersion::kV2;
  Controllers controllers;
};
GroupKind ParseGroupText(std::string_view text);  // of GroupText only

// Those of ours among names separated by `separator`; the others are left out.
Controllers ControllersIn(std::string_view names, char separator);

}  // namespace rundlet::runtime
