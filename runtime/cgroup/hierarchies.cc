#include "runtime/cgroup/hierarchies.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace rundlet::runtime {
namespace {

struct OwnGroup {
  std::string names;  // "cpu,cpuacct", or empty for v2
  std::string path;
};

// "4:memory:/user.slice": the path may have colons itself.
std::optional<OwnGroup> ParseOwnGroup(const std::string& line) {
  const size_t first = line.find(':');
  const size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
  if (second == line.npos) return std::nullopt;
  return OwnGroup{line.substr(first + 1, second - first - 1), line.substr(second + 1)};
}

// The group below a mount that shows the hierarchy from `root` down.
std::optional<std::string> Below(const std::string& root, const std::string& path) {
  if (path.find("/..") != path.npos) return std::nullopt;  // outside this cgroup namespace
  if (root == "/") return path == "/" ? "" : path;
  if (path == root) return "";
  if (path.starts_with(root + "/")) return path.substr(root.size());
  return std::nullopt;
}

struct GroupMount {
  std::string root;
  std::string mount_point;
  GroupVersion version;
  Controllers controllers;
};

// "25 30 0:22 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory"
std::optional<GroupMount> ParseMount(const std::string& line) {
  const size_t dash = line.find(" - ");
  if (dash == line.npos) return std::nullopt;
  const std::vector<std::string> fields = base::Split(line.substr(0, dash), ' ');
  const std::vector<std::string> system = base::Split(line.substr(dash + 3), ' ');
  if (fields.size() < 6 || system.size() < 3) return std::nullopt;
  if (system[0] == "cgroup2") return GroupMount{fields[3], fields[4], GroupVersion::kV2, {}};
  if (system[0] != "cgroup") return std::nullopt;
  const Controllers controllers = ControllersIn(system[2], ',');
  if (controllers.empty()) return std::nullopt;
  return GroupMount{fields[3], fields[4], GroupVersion::kV1, controllers};
}

}  // namespace

std::vector<Hierarchy> FindHierarchies(std::string_view mountinfo, std::string_view own_groups) {
  std::vector<OwnGroup> own;
  for (const std::string& line : base::Split(own_groups, '\n')) {
    if (auto group = ParseOwnGroup(line)) own.push_back(*std::move(group));
  }
  std::vector<Hierarchy> found;
  for (const std::string& line : base::Split(mountinfo, '\n')) {
    const std::optional<GroupMount> mount = ParseMount(line);
    if (!mount.has_value()) continue;
    const auto same = [&](const Hierarchy& known) {
      return known.version == mount->version && known.controllers == mount->controllers;
    };
    if (std::any_of(found.begin(), found.end(), same)) continue;
    for (const OwnGroup& group : own) {
      const bool here = mount->version == GroupVersion::kV2
                            ? group.names.empty()
                            : ControllersIn(group.names, ',') == mount->controllers;
      const std::optional<std::string> path = Below(mount->root, group.path);
      if (here && path.has_value()) {
        found.push_back({mount->version, mount->controllers, mount->mount_point, *path});
        break;
      }
    }
  }
  return found;
}

}  // namespace rundlet::runtime
