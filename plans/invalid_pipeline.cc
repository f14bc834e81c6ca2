#include "plans/invalid_pipeline.h"

#include <algorithm>
#include <utility>

#include "plans/shown_text.h"

namespace rundlet::plans {
namespace {

constexpr size_t kMaxShown = 1000;  // columns; a hostile name may be of any length

std::string PlaceOf(const Problem& problem) {
  if (problem.file.empty()) return {};
  if (problem.line == 0) return problem.file + ": ";
  if (problem.column == 0) return fmt::format("{}:{}: ", problem.file, problem.line);
  return fmt::format("{}:{}:{}: ", problem.file, problem.line, problem.column);
}

}  // namespace

InvalidPipeline::InvalidPipeline(std::vector<Problem> problems)
    : Error(base::Fault::kInvalid, "reading the pipeline"), problems_(std::move(problems)) {
  RUNDLET_CHECK(!problems_.empty());
  for (Problem& problem : problems_) {
    for (std::string* text : {&problem.file, &problem.message, &problem.cause, &problem.hint}) {
      *text = Cut(OneLine(*text), kMaxShown);
    }
  }
  std::sort(problems_.begin(), problems_.end());
  problems_.erase(std::unique(problems_.begin(), problems_.end()), problems_.end());
  static_cast<Error&&>(*this).Because(PlaceOf(problems_.front()) + problems_.front().message);
}

std::string InvalidPipeline::Render() const {
  std::string text;
  const size_t shown = std::min(problems_.size(), kShown);
  for (size_t i = 0; i < shown; ++i) {
    const Problem& problem = problems_[i];
    text += fmt::format("error: {}{}\n", PlaceOf(problem), problem.message);
    if (!problem.cause.empty()) text += fmt::format("caused by: {}\n", problem.cause);
    if (!problem.hint.empty()) text += fmt::format("hint: {}\n", problem.hint);
  }
  if (shown < problems_.size()) text += fmt::format("and {} more\n", problems_.size() - shown);
  return text;
}

}  // namespace rundlet::plans
