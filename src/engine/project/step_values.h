// What a planned step says, as whoever starts its sandbox wants it.
#pragma once

#include <string>

#include "engine/sandbox/wanted_limits.h"
#include "plans/parameters.h"
#include "plans/pipeline.h"

namespace rundlet::engine {

WantedLimits LimitsOf(const plans::Step& step);

// JSON: the values of its parameters, by argument.
std::string ParametersOf(const plans::Step& step, const plans::ParameterValues& values);

}  // namespace rundlet::engine
