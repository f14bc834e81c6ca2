// The reader's output and rundlet.toml as JSON: refused in words, or a pipeline that can be planned
// and explained.
//
// Input: the reader's document; after a line "---" rundlet.toml as `parse-toml` gives it, where
// there is one.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "plans/plan/planner.h"
#include "plans/read/read_pipeline.h"
#include "plans/show/explain.h"
#include "tests/fuzz/check.h"

namespace {

using namespace rundlet::plans;  // NOLINT(build/namespaces): a program of one function
using rundlet::fuzz::Require;

constexpr std::string_view kSeparator = "\n---\n";
constexpr std::string_view kProject =
    R"({"data": {"python": {"version": "3.11"}, "images": {"3.11": "python:3.11-slim", "3.13": "python:3.13-slim"},
        "tables": {"flights": {"path": "flights.parquet"}}, "parameters": {"year": {"type": "int", "default": 2013}}},
       "lines": {}})";

Facts FactsFor(const Pipeline& pipeline) {
  Facts facts;
  for (const auto& [name, reference] : pipeline.config.images) {
    facts.images[name] = {rundlet::base::Digest::Of(reference), name.text(), {}};
  }
  for (const auto* steps : {&pipeline.models, &pipeline.expectations}) {
    for (const Step& step : *steps) facts.environments[step.name] = {};
  }
  for (const auto& [name, table] : pipeline.config.tables) facts.sources[name] = {};
  return facts;
}

void PlanAndExplain(Pipeline pipeline) {
  for (auto* steps : {&pipeline.models, &pipeline.expectations}) {
    for (Step& step : *steps) step.version.reset();  // what an image has is not in the input
  }
  for (auto& [name, parameter] : pipeline.config.parameters) {
    if (!parameter.value) parameter.value = ParameterValue(true);
  }
  PlanOptions options;
  options.parameters = BindParameters(pipeline, {});
  const Plan plan = MakePlan(pipeline, FactsFor(pipeline), options);
  Require(plan.steps.size() == pipeline.models.size() + pipeline.expectations.size());
  Require(!ExplainPlan(pipeline, plan).empty());
  Require(!PlanJson(pipeline, plan).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find(kSeparator);
  const std::string_view project =
      end == input.npos ? kProject : input.substr(end + kSeparator.size());
  try {
    PlanAndExplain(ReadPipeline(input.substr(0, end), project));
  } catch (const rundlet::base::Error& error) {
    const std::string text = error.Render();
    Require(text.starts_with("error: ") && text.find('\x1b') == text.npos);
    Require(!error.chain().front().starts_with("an internal check failed"));
  }
  return 0;
}
