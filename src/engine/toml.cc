#include "engine/toml.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "engine/kept_document.h"
#include "rootfs/image_fields.h"

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
  const rootfs::DocumentOrigin origin = rootfs::AnswerOf("parse-toml");
  const nlohmann::json parsed = rootfs::ParseJson(document, origin);
  const rootfs::Fields fields(parsed, origin);
  fields.Object("data");
  fields.Object("lines");
  kept.Keep(document);
  return document;
}

}  // namespace rundlet::engine
