#include "runtime/cgroup/controllers.h"

#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::runtime {
namespace {

constexpr Controller kAll[] = {Controller::kMemory, Controller::kPids, Controller::kCpu,
                               Controller::kCpuTime};

}  // namespace

const char* NameOf(Controller controller) {
  switch (controller) {
    case Controller::kMemory:
      return "memory";
    case Controller::kPids:
      return "pids";
    case Controller::kCpu:
      return "cpu";
    case Controller::kCpuTime:
      return "cpuacct";
  }
  return "unknown";
}

Controllers ControllersIn(std::string_view names, char separator) {
  Controllers found;
  for (const std::string& name : base::Split(base::Trim(names), separator)) {
    for (const Controller controller : kAll) {
      if (name == NameOf(controller)) found.insert(controller);
    }
  }
  return found;
}

std::string GroupText(GroupVersion version, const Controllers& controllers) {
  std::vector<std::string> names;
  for (const Controller controller : controllers) names.emplace_back(NameOf(controller));
  return (version == GroupVersion::kV1 ? "v1:" : "v2:") + base::Join(names, ",");
}

GroupKind ParseGroupText(std::string_view text) {
  RUNDLET_CHECK(text.starts_with("v1:") || text.starts_with("v2:"));
  return {.version = text[1] == '1' ? GroupVersion::kV1 : GroupVersion::kV2,
          .controllers = ControllersIn(text.substr(3), ',')};
}

}  // namespace rundlet::runtime
