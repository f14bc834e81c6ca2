#include "runtime/spec/controllers.h"

#include <string>

#include "base/text.h"

namespace rundlet::runtime {

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

const char* NameOf(GroupVersion version) { return version == GroupVersion::kV1 ? "v1" : "v2"; }

Controllers ControllersIn(std::string_view names, char separator) {
  Controllers found;
  for (const std::string& name : base::Split(base::Trim(names), separator)) {
    for (const Controller controller : kControllers) {
      if (name == NameOf(controller)) found.insert(controller);
    }
  }
  return found;
}

}  // namespace rundlet::runtime
