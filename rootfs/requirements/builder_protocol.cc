#include "rootfs/requirements/builder_protocol.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/base64.h"
#include "base/json/depth.h"
#include "base/text.h"
#include "rootfs/requirements/build_program.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kMostBuildRequirements = 200;
constexpr uint64_t kBuiltLimit = uint64_t{512} << 20;  // of a wheel
constexpr const char* kSourceInside = "/rundlet/source";

std::string_view WordOf(BuildMode mode) {
  switch (mode) {
    case BuildMode::kDescribe:
      return "describe";
    case BuildMode::kRequires:
      return "requires";
    case BuildMode::kBuild:
      return "build";
  }
  base::CheckFailed("a mode of building", __FILE__, __LINE__);
}

[[noreturn]] void RefuseSystem(std::string cause) {
  throw base::Error(base::Fault::kInvalid, "reading [build-system]").Because(std::move(cause));
}

std::vector<std::string> TextsIn(const nlohmann::json& table, const char* key) {
  std::vector<std::string> texts;
  const auto found = table.find(key);
  if (found == table.end()) return texts;
  if (!found->is_array() || found->size() > kMostBuildRequirements)
    RefuseSystem(fmt::format("`{}` is no list, or too long", key));
  for (const nlohmann::json& item : *found) {
    if (!item.is_string()) RefuseSystem(fmt::format("`{}` holds what is no text", key));
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

nlohmann::json HeadOf(const std::string& line) {
  if (base::JsonDepth(line) > base::kMaxJsonDepth) return {};
  return nlohmann::json::parse(line, nullptr, false);
}

}  // namespace

BuildSystem ReadBuildSystem(std::string_view document) {
  BuildSystem system;
  const nlohmann::json answer = nlohmann::json::parse(document, nullptr, false);
  const nlohmann::json data =
      answer.is_object() ? answer.value("data", nlohmann::json()) : nlohmann::json();
  if (!data.is_object() || !data.contains("build-system")) return system;
  const nlohmann::json& table = data["build-system"];
  if (!table.is_object()) RefuseSystem("it is no table");
  system.required = TextsIn(table, "requires");
  system.path = TextsIn(table, "backend-path");
  if (const auto backend = table.find("build-backend"); backend != table.end()) {
    if (!backend->is_string()) RefuseSystem("`build-backend` is no text");
    backend->get_to(system.backend);
  }
  const bool good = std::all_of(system.backend.begin(), system.backend.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == ':';
  });
  if (!good) RefuseSystem("`build-backend` is not the name of a Python object");
  return system;
}

ProgramCommand MakeBuildCommand(BuildMode mode, const SourceArchive& archive,
                                const std::string& folder, const BuildSystem& system,
                                const std::string& python) {
  const nlohmann::json wanted = {{"backend", system.backend}, {"path", system.path}};
  return {.argv = {python, "-I", "-", std::string(WordOf(mode)),
                   fmt::format("{}/{}", kSourceInside, archive.source.filename),
                   wanted.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)},
          .input = std::string(kBuildProgram),
          .mounts = {{kSourceInside, runtime::StorePath{folder}}}};
}

void BuildAnswer::AddLine(std::string_view line) {
  if (!head_.has_value()) {
    head_ = line;
  } else if (wheel_.size() <= kBuiltLimit) {
    wheel_ += base::DecodeBase64(line).value_or("");
  }
}

void BuildAnswer::Check() const {
  if (!head_.has_value() || !HeadOf(*head_).is_object())
    throw BuildFailure(archive_, "it gave no answer");
  if (wheel_.size() > kBuiltLimit) {
    throw BuildFailure(archive_,
                       fmt::format("its wheel is larger than {}", base::HumanBytes(kBuiltLimit)));
  }
}

std::string BuildAnswer::Text(const char* key) const {
  const nlohmann::json head = HeadOf(head_.value_or(""));
  const auto found = head.find(key);
  if (found == head.end() || !found->is_string())
    throw BuildFailure(archive_, "its answer is malformed");
  return found->get<std::string>();
}

std::vector<std::string> BuildAnswer::required() const {
  const nlohmann::json list = HeadOf(head_.value_or("")).value("requires", nlohmann::json());
  if (!list.is_array()) throw BuildFailure(archive_, "its answer is malformed");
  std::vector<std::string> texts;
  for (const nlohmann::json& item : list) {
    if (!item.is_string()) throw BuildFailure(archive_, "its answer is malformed");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

base::Error BuildFailure(const SourceArchive& archive, std::string cause) {
  return base::Error(base::Fault::kInvalid,
                     fmt::format("building `{}` from its source archive", archive.Label()))
      .Because(std::move(cause));
}

}  // namespace rundlet::rootfs
