// Documents as the reader and the TOML parser would give them, and facts that fit them, for tests
// of plans/.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "plans/invalid_pipeline.h"
#include "plans/pipeline.h"
#include "plans/plan/facts.h"
#include "plans/read/read_pipeline.h"

namespace rundlet::plans::testing {

using nlohmann::json;

inline std::string Hex(std::string_view of) { return base::Digest::Of(of).hex(); }

inline StepName StepOf(std::string_view text) { return StepName::Parse(text).value(); }
inline TableName TableOf(std::string_view text) { return TableName::Parse(text).value(); }
inline ImageName ImageOf(std::string_view text) { return ImageName::Parse(text).value(); }
inline ParameterName ParameterOf(std::string_view text) {
  return ParameterName::Parse(text).value();
}

inline json InputJson(const std::string& model, int line = 0) {
  return {{"argument", model}, {"model", model},         {"columns", nullptr},
          {"filter", nullptr}, {"filter_text", nullptr}, {"line", line}};
}

// A python model in pipeline.py, with the inputs named.
inline json ModelJson(const std::string& name, const std::vector<std::string>& inputs = {},
                      int line = 1) {
  json model = {{"name", name},
                {"kind", "python"},
                {"file", "pipeline.py"},
                {"line", line},
                {"doc", nullptr},
                {"function", name},
                {"sql", nullptr},
                {"code", Hex("code of " + name)},
                {"inputs", json::array()},
                {"parameters", json::array()},
                {"python", {{"version", nullptr}, {"pip", nullptr}, {"image", nullptr}}},
                {"imports", json::array()},
                {"materialize", "none"},
                {"env", json::object()},
                {"network", "none"},
                {"cpus", nullptr},
                {"pids", nullptr},
                {"disk", nullptr},
                {"memory", nullptr},
                {"timeout", nullptr},
                {"retries", 0}};
  for (const std::string& input : inputs) model["inputs"].push_back(InputJson(input, line));
  return model;
}

inline json SqlJson(const std::string& name, const std::vector<std::string>& inputs = {}) {
  json model = ModelJson(name, inputs);
  model["kind"] = "sql";
  model["file"] = name + ".sql";
  model["function"] = nullptr;
  model["sql"] = "SELECT 1";
  model["python"]["pip"] = json::array();
  return model;
}

inline json With(json object, const std::string& pointer, json value) {
  object[json::json_pointer(pointer)] = std::move(value);
  return object;
}

inline json ReaderJson(std::vector<json> models, std::vector<json> expectations = {},
                       std::vector<json> errors = {}) {
  return {{"version", 1}, {"models", models}, {"expectations", expectations}, {"errors", errors}};
}

// Python 3.11 by default, 3.13 there too; the table `flights`; the parameter `year`.
inline json ProjectData() {
  return {{"project", {{"name", "demo"}}},
          {"python", {{"version", "3.11"}, {"pip", {"polars>=1.0"}}}},
          {"images", {{"3.11", "python:3.11-slim"}, {"3.13", "python:3.13-slim"}}},
          {"tables", {{"flights", {{"path", "data/flights/*.parquet"}}}}},
          {"parameters", {{"year", {{"type", "int"}, {"default", 2013}}}}}};
}

inline std::string ProjectJson(const json& data, const json& lines = json::object()) {
  return json{{"data", data}, {"lines", lines}}.dump();
}

inline Pipeline Read(const json& reader, const json& data = ProjectData()) {
  return ReadPipeline(reader.dump(), ProjectJson(data));
}

// What is wrong, or an empty text.
inline std::string Faults(const json& reader, const json& data = ProjectData(),
                          const json& lines = json::object()) {
  try {
    ReadPipeline(reader.dump(), ProjectJson(data, lines));
  } catch (const InvalidPipeline& error) {
    return error.Render();
  }
  return {};
}

inline Distribution Wheel(const std::string& name, const std::string& version) {
  return {name, version, base::Digest::Of("wheel of " + name + " " + version), 1 << 20};
}

inline Environment EnvironmentWith(const base::Digest& interpreter,
                                   std::vector<Distribution> distributions) {
  base::Sha256 hash;
  hash.AddField(interpreter.hex());
  for (const Distribution& distribution : distributions) hash.AddField(distribution.sha256.hex());
  return {hash.Finish(), std::move(distributions)};
}

// Every image has an interpreter of its own, every python step pandas and pyarrow, every table some
// content. Nothing is installed, kept or recorded.
inline Facts FactsFor(const Pipeline& pipeline) {
  Facts facts;
  for (const auto& [name, reference] : pipeline.config.images) {
    ImageFacts& image = facts.images[name];
    image.interpreter = base::Digest::Of("interpreter of " + reference);
    image.version = name.text() + ".4";
    image.engine =
        EnvironmentWith(image.interpreter, {Wheel("duckdb", "1.3.0"), Wheel("pyarrow", "20.0.0")});
  }
  for (const auto* steps : {&pipeline.models, &pipeline.expectations}) {
    for (const Step& step : *steps) {
      if (step.kind == StepKind::kSql) continue;
      facts.environments[step.name] =
          EnvironmentWith(facts.images.at(step.image).interpreter,
                          {Wheel("pandas", "2.2.2"), Wheel("pyarrow", "20.0.0")});
    }
  }
  for (const auto& [name, table] : pipeline.config.tables) {
    facts.sources[name] = {base::Digest::Of("content of " + name.text()), 5 << 20};
  }
  return facts;
}

}  // namespace rundlet::plans::testing
