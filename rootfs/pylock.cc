#include "rootfs/pylock.h"

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

}  // namespace

std::string FormatPylock(const Lock& lock, const std::string& python_tag,
                         const base::Digest& inputs) {
  std::string text = "# Written by `rundlet lock`; `rundlet lock --upgrade` resolves again.\n";
  text += "lock-version = \"1.0\"\ncreated-by = \"rundlet\"\n";
  text += fmt::format("requires-python = \"=={}.*\"\n", python_tag);
  for (const Distribution& one : lock.distributions) {
    if (one.url.empty()) {
      throw base::Error(base::Fault::kInvalid, fmt::format("locking `{}`", one.Label()))
          .Because("it was given as a file, which others cannot fetch")
          .Hint("require it by URL");
    }
    text += fmt::format("\n[[packages]]\nname = {}\nversion = {}\n", Quoted(one.name),
                        Quoted(one.version));
    const std::string size = one.size == 0 ? "" : fmt::format(", size = {}", one.size);
    text += fmt::format("wheels = [{{ name = {}, url = {}{}, hashes = {{ sha256 = {} }} }}]\n",
                        Quoted(one.filename), Quoted(one.url), size, Quoted(one.sha256.hex()));
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
