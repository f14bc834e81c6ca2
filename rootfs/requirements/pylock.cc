#include "rootfs/requirements/pylock.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace rundlet::rootfs {
namespace {

// A TOML string. Names, versions and URLs of a lock are printable ASCII without quotes and
// backslashes (CheckDistribution).
std::string Quoted(std::string_view text) { return fmt::format("\"{}\"", text); }

std::string NoteText(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string SizeText(uint64_t size) { return size == 0 ? "" : fmt::format(", size = {}", size); }

std::string HashesText(const base::Digest& sha256) {
  return fmt::format("hashes = {{ sha256 = {} }}", Quoted(sha256.hex()));
}

// What whoever runs from the lock has to build.
std::string SourceText(const Source& source) {
  switch (source.kind) {
    case Source::Kind::kIndex:
      return fmt::format("sdist = {{ name = {}, url = {}{}, {} }}\n", Quoted(source.filename),
                         Quoted(source.url), SizeText(source.size), HashesText(source.sha256));
    case Source::Kind::kUrl:
      return fmt::format("archive = {{ url = {}{}, {} }}\n", Quoted(source.url),
                         SizeText(source.size), HashesText(source.sha256));
    case Source::Kind::kGit:
      return fmt::format("vcs = {{ type = \"git\", url = {}, commit-id = {} }}\n",
                         Quoted(source.url), Quoted(source.commit));
  }
  base::CheckFailed("a kind of source", __FILE__, __LINE__);
}

std::string WheelText(const Distribution& one) {
  if (one.url.empty()) {
    throw base::Error(base::Fault::kInvalid, fmt::format("locking `{}`", one.Label()))
        .Because("it was given as a file, which others cannot fetch")
        .Hint("require it by URL");
  }
  return fmt::format("wheels = [{{ name = {}, url = {}{}, {} }}]\n", Quoted(one.filename),
                     Quoted(one.url), SizeText(one.size), HashesText(one.sha256));
}

}  // namespace

std::string FormatPylock(const Lock& lock, const std::string& python_tag,
                         const base::Digest& inputs) {
  std::string text = "# Written by `rundlet lock`; `rundlet lock --upgrade` resolves again.\n";
  text += "lock-version = \"1.0\"\ncreated-by = \"rundlet\"\n";
  text += fmt::format("requires-python = \"=={}.*\"\n", python_tag);
  for (const Distribution& one : lock.distributions) {
    text += fmt::format("\n[[packages]]\nname = {}\nversion = {}\n", Quoted(one.name),
                        Quoted(one.version));
    text += one.source.has_value() ? SourceText(*one.source) : WheelText(one);
  }
  text += fmt::format("\n[tool.rundlet]\ninputs = {}\n", Quoted(inputs.hex()));
  return text;
}

PylockNotes ReadPylockNotes(std::string_view document) {
  const nlohmann::json answer = nlohmann::json::parse(document, nullptr, false);
  PylockNotes notes;
  if (!answer.is_object() || !answer.contains("data") || !answer["data"].is_object()) return notes;
  const nlohmann::json& data = answer["data"];
  const nlohmann::json tool = data.value("tool", nlohmann::json());
  if (tool.is_object() && tool.contains("rundlet") && tool["rundlet"].is_object())
    notes.inputs = NoteText(tool["rundlet"], "inputs");
  const nlohmann::json packages = data.value("packages", nlohmann::json());
  if (!packages.is_array()) return notes;
  for (const nlohmann::json& package : packages) {
    if (!package.is_object()) continue;
    const std::string version = NoteText(package, "version");
    if (!version.empty()) notes.versions.emplace(NormaliseName(NoteText(package, "name")), version);
  }
  return notes;
}

}  // namespace rundlet::rootfs
