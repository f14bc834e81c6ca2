// The controllers of control groups that rundlet uses, and the two interfaces the kernel has.
#pragma once

#include <array>
#include <set>
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
inline constexpr std::array kControllers = {Controller::kMemory, Controller::kPids,
                                            Controller::kCpu, Controller::kCpuTime};

enum class GroupVersion { kV1, kV2 };
const char* NameOf(GroupVersion version);  // "v1"

// What a directory of groups is.
struct GroupKind {
  GroupVersion version = GroupVersion::kV2;
  Controllers controllers;
  bool operator==(const GroupKind&) const = default;
};

// Those of ours among names separated by `separator`; the others are left out.
Controllers ControllersIn(std::string_view names, char separator);

}  // namespace rundlet::runtime
