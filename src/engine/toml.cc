#include "engine/toml.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "engine/kept_document.h"
#include "rootfs/image_fields.h"

namespace rundlet::engine {

std::string ParseToml(Engine& engine, const std::string& text, const base::CancelToken* cancel) {
  const KeptDocument kept(engine, "toml", base::Digest::Of(text));
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
