// What the reader is asked, and its answer, checked field by field but with its names not yet
// looked up. engine/project/reader runs it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plans/invalid_pipeline.h"
#include "plans/pipeline.h"

namespace rundlet::plans {

// A step whose image, inputs and parameters are still the words of its author.
struct DeclaredStep {
  Step step;  // inputs and parameters are in the order of the lists below
  std::vector<std::string> input_names;  // of models or tables
  std::vector<std::string> parameter_names;
  std::optional<std::string> version;
  std::optional<std::string> image;
  std::optional<std::vector<std::string>> pip;
};

struct ReaderDocument {
  std::vector<DeclaredStep> steps;  // sorted by name, then by place
  // The reader could not read all: what seems missing may be in what it could not read.
  bool incomplete = false;
};

// For the reader's standard input: paths of the project's files.
std::string MakeReaderRequest(const std::vector<std::string>& files);

// Adds what the author can mend to `problems`. Throws base::Error (kInvalid) when the document is
// not of the protocol.
ReaderDocument ReadReaderDocument(std::string_view text, std::vector<Problem>& problems);

// What is wrong with a requirement's look; its full grammar is the resolver's to check. Empty:
// nothing.
std::string FaultOfRequirement(std::string_view requirement);
// "3.11": major and minor.
bool IsPythonVersion(std::string_view text);

}  // namespace rundlet::plans
