#include "engine/core/toml.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/json/fields.h"
#include "engine/core/kept_document.h"

namespace rundlet::engine {
namespace {

// Another one for each change of what the worker answers: kept answers are of this.
constexpr const char* kAnswer = "toml as json 1";

}  // namespace

std::string ParseToml(Engine& engine, const std::string& text, const base::CancelToken* cancel) {
  base::Sha256 key;
  key.AddField(kAnswer);
  key.AddField(text);
  const KeptDocument kept(engine, "toml", key.Finish());
  if (std::optional<std::string> document = kept.Find()) return *std::move(document);
  // What is no UTF-8 is no TOML either; the parser says so.
  const auto replace = nlohmann::json::error_handler_t::replace;
  std::string document =
      engine.workers().Run({.command = "parse-toml",
                            .request = nlohmann::json{{"text", text}}.dump(-1, ' ', false, replace),
                            .files = {},
                            .mounts = {}},
                           {}, cancel);
  const base::DocumentOrigin origin = base::AnswerOf("parse-toml");
  const nlohmann::json parsed = base::ParseJson(document, origin);
  const base::Fields fields(parsed, origin);
  fields.Object("data");
  fields.Object("lines");
  kept.Keep(document);
  return document;
}

}  // namespace rundlet::engine
