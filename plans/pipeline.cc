#include "plans/pipeline.h"

#include <algorithm>

namespace rundlet::plans {
namespace {

const Step* FindIn(const std::vector<Step>& steps, const StepName& name) {
  const auto found =
      std::lower_bound(steps.begin(), steps.end(), name,
                       [](const Step& step, const StepName& wanted) { return step.name < wanted; });
  return found != steps.end() && found->name == name ? &*found : nullptr;
}

}  // namespace

std::string_view NameOf(TableFormat format) {
  switch (format) {
    case TableFormat::kParquet:
      return "parquet";
    case TableFormat::kCsv:
      return "csv";
    case TableFormat::kArrow:
      return "arrow";
  }
  return {};
}

std::string_view NameOf(StepKind kind) {
  switch (kind) {
    case StepKind::kPython:
      return "python";
    case StepKind::kSql:
      return "sql";
    case StepKind::kExpectation:
      return "expectation";
  }
  return {};
}

std::string_view NameOf(Materialize materialize) {
  switch (materialize) {
    case Materialize::kNone:
      return "none";
    case Materialize::kReplace:
      return "replace";
    case Materialize::kAppend:
      return "append";
  }
  return {};
}

const std::string& NameOf(const InputTable& table) {
  return std::visit([](const auto& name) -> const std::string& { return name.text(); }, table);
}

const Step* FindStep(const Pipeline& pipeline, const StepName& name) {
  const Step* const model = FindIn(pipeline.models, name);
  return model != nullptr ? model : FindIn(pipeline.expectations, name);
}

}  // namespace rundlet::plans
