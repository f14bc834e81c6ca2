// Private: rundlet.toml.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plans/invalid_pipeline.h"
#include "plans/pipeline.h"

namespace rundlet::plans {

constexpr std::string_view kProjectFile = "rundlet.toml";

struct ProjectDocument {
  ProjectConfig config;
  // [python] image or version has no image: told once, not again for every step.
  bool default_image_is_bad = false;
};

// `text` as ReadPipeline's `project_json`. Adds what is wrong to `problems`; what is right is kept.
ProjectDocument ReadProjectDocument(std::string_view text, std::vector<Problem>& problems);

// What to do about an image or a Python version that [images] lacks.
std::string HintForImage(const ProjectConfig& config, const std::string& wanted);

}  // namespace rundlet::plans
