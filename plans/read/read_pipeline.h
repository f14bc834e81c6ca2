// From what the reader and the TOML parser said to a checked pipeline. Both documents are untrusted
// input.
#pragma once

#include <string_view>

#include "plans/pipeline.h"

namespace rundlet::plans {

// `reader_json` is the reader's document (docs/reference/step-protocol.md). `project_json` is
// rundlet.toml as the worker `parse-toml` gives it: {"data": {...}, "lines": {"python.version": 4,
// ...}}, the lines by dotted key; empty when the project has no rundlet.toml.
//
// Throws InvalidPipeline with everything that is wrong with the pipeline. A document that is not of
// the agreed shape (an image whose Python lies makes one) is a base::Error of Fault::kInvalid.
Pipeline ReadPipeline(std::string_view reader_json, std::string_view project_json);

// The same of rundlet.toml alone, for whoever needs something of it before there is a reader.
void CheckProject(std::string_view project_json);

}  // namespace rundlet::plans
