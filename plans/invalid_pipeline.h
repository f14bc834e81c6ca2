// Everything that is wrong with a pipeline, told at once, each fault at its place.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace rundlet::plans {

struct Problem {
  // Relative to the project; empty when the fault is in no file (a command's argument).
  std::string file = {};
  uint32_t line = 0;         // from 1; 0: unknown
  uint32_t column = 0;       // from 1; 0: unknown
  std::string message = {};  // what was attempted or declared, with its object in back-ticks
  std::string cause = {};    // may be empty when the message says it all
  std::string hint = {};     // advice that works if followed; may be empty
  auto operator<=>(const Problem&) const = default;
};

// Fault::kInvalid. Its text is one block a problem:
//   error: pipeline.py:12: step `delays` reads `fligths`
//   caused by: no model or table has that name
//   hint: did you mean `flights`?
class InvalidPipeline : public base::Error {
 public:
  static constexpr size_t kShown = 20;

  // The problems, at least one, in any order; they are made safe for a terminal, sorted, and told
  // once each.
  explicit InvalidPipeline(std::vector<Problem> problems);

  const std::vector<Problem>& problems() const { return problems_; }
  std::string Render() const override;

 private:
  std::vector<Problem> problems_;
};

}  // namespace rundlet::plans
