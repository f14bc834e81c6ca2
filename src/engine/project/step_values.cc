#include "engine/project/step_values.h"

#include <nlohmann/json.hpp>
#include <type_traits>

namespace rundlet::engine {
namespace {

using nlohmann::json;

json ValueOf(const plans::ParameterValue& value) {
  return std::visit(
      [](const auto& held) -> json {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, plans::Date>) {
          return held.text();
        } else {
          return held;
        }
      },
      value);
}

}  // namespace

WantedLimits LimitsOf(const plans::Step& step) {
  return {.memory = step.limits.memory,
          .cpus = step.limits.cpus,
          .pids = step.limits.pids,
          .disk = step.limits.disk,
          .timeout = step.limits.timeout};
}

std::string ParametersOf(const plans::Step& step, const plans::ParameterValues& values) {
  json parameters = json::object();
  for (const plans::ParameterUse& use : step.parameters)
    parameters[use.argument] = ValueOf(values.at(use.name));
  return parameters.dump();
}

}  // namespace rundlet::engine
