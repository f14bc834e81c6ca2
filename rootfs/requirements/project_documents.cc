#include "rootfs/requirements/project_documents.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "rootfs/formats/distribution.h"

namespace rundlet::rootfs {
namespace {

using nlohmann::json;

constexpr size_t kEntryLimit = 5000;
constexpr size_t kGroupDepth = 16;

[[noreturn]] void RefuseDocument(std::string_view what, std::string cause, std::string hint = {}) {
  throw base::Error(base::Fault::kInvalid, fmt::format("reading {}", what))
      .Because(std::move(cause))
      .Hint(std::move(hint));
}

json DataOf(std::string_view document) {
  const json answer = json::parse(document, nullptr, false);
  json data = answer.is_object() ? answer.value("data", json()) : json();
  if (!data.is_object()) RefuseDocument("a TOML document", "it is no table");
  return data;
}

std::string OwnText(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::vector<std::string> TextsAt(const json& object, const char* key, std::string_view what) {
  std::vector<std::string> texts;
  const auto found = object.find(key);
  if (found == object.end()) return texts;
  if (!found->is_array() || found->size() > kEntryLimit)
    RefuseDocument(what, fmt::format("`{}` is no list of requirements", key));
  for (const json& item : *found) {
    if (!item.is_string()) RefuseDocument(what, fmt::format("`{}` holds what is no text", key));
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

// "Dev_Tools" and "dev-tools" are one group.
const json* FindGroup(const json& groups, const std::string& name) {
  for (const auto& [key, value] : groups.items()) {
    if (NormaliseName(key) == NormaliseName(name)) return &value;
  }
  return nullptr;
}

void AddGroup(const json& groups, const std::string& name, size_t depth,
              std::vector<std::string>& texts) {
  const json* group = FindGroup(groups, name);
  if (group == nullptr || !group->is_array()) {
    RefuseDocument("[dependency-groups]",
                   fmt::format("it has no group `{}`", base::Printable(name)));
  }
  if (depth == kGroupDepth || texts.size() > kEntryLimit)
    RefuseDocument("[dependency-groups]", "its groups include each other");
  for (const json& item : *group) {
    if (item.is_string()) {
      texts.push_back(item.get<std::string>());
    } else if (item.is_object() && item.size() == 1 && !OwnText(item, "include-group").empty()) {
      AddGroup(groups, OwnText(item, "include-group"), depth + 1, texts);
    } else {
      RefuseDocument("[dependency-groups]",
                     fmt::format("`{}` holds what is neither a requirement nor an include",
                                 base::Printable(name)));
    }
  }
}

base::Digest HashOfFile(const json& file, const std::string& name) {
  const auto hashes = file.find("hashes");
  const std::string hex =
      hashes != file.end() && hashes->is_object() ? OwnText(*hashes, "sha256") : "";
  const auto digest = base::Digest::Parse(hex);
  if (!digest.has_value())
    RefuseDocument("pylock.toml",
                   fmt::format("a file of `{}` has no sha256", base::Printable(name)));
  return *digest;
}

// "name @ git+URL@COMMIT".
std::string CommitText(const json& vcs, const std::string& name) {
  const bool git =
      vcs.is_object() && OwnText(vcs, "type") == "git" && !vcs.contains("subdirectory");
  const std::string commit = git ? OwnText(vcs, "commit-id") : "";
  if (!IsCommit(commit)) {
    RefuseDocument(
        "pylock.toml",
        fmt::format("`{}` is not the root of a commit of a git repository", base::Printable(name)));
  }
  return fmt::format("{} @ git+{}@{}", name, OwnText(vcs, "url"), commit);
}

// "name==version", with the hashes of its wheels and its source archive.
std::string ReleaseText(const json& package, const std::string& name, RequirementSet& set) {
  const json wheels = package.value("wheels", json::array());
  if (!wheels.is_array() || wheels.size() > kEntryLimit)
    RefuseDocument("pylock.toml", "the wheels of a package are no list, or too many");
  for (const json& wheel : wheels) set.hashes.push_back(HashOfFile(wheel, name));
  const auto source = package.find("sdist");
  if (source != package.end()) set.hashes.push_back(HashOfFile(*source, name));
  if (wheels.empty() && source == package.end()) {
    RefuseDocument("pylock.toml", fmt::format("`{}` has neither a wheel nor a source archive in it",
                                              base::Printable(name)));
  }
  return fmt::format("{}=={}", name, OwnText(package, "version"));
}

void AddPackage(const json& package, RequirementSet& set) {
  if (!package.is_object()) RefuseDocument("pylock.toml", "a package is no table");
  const std::string name = OwnText(package, "name");
  const std::string marker = OwnText(package, "marker");
  std::string text;
  if (marker.find(" in extras") != marker.npos || marker.find("dependency_groups") != marker.npos) {
    RefuseDocument("pylock.toml", "it is for several sets of extras or groups",
                   "export one set: `rundlet lock`, or your tool's export of one group");
  }
  if (const auto archive = package.find("archive"); archive != package.end()) {
    if (!archive->is_object() || OwnText(*archive, "url").empty() ||
        archive->contains("subdirectory")) {
      RefuseDocument(
          "pylock.toml",
          fmt::format("the archive of `{}` has no URL, or is used in part", base::Printable(name)));
    }
    const base::Digest digest = HashOfFile(*archive, name);
    text = fmt::format("{} @ {}#sha256={}", name, OwnText(*archive, "url"), digest.hex());
    set.hashes.push_back(digest);
  } else if (const auto vcs = package.find("vcs"); vcs != package.end()) {
    text = CommitText(*vcs, name);
  } else {
    text = ReleaseText(package, name, set);
  }
  if (!marker.empty()) text += " ; " + marker;
  set.requirements.push_back(ParseRequirement(text));
}

using Release = std::vector<unsigned>;

std::optional<Release> ParseRelease(std::string_view text) {
  Release release;
  for (const std::string& part : base::Split(text, '.')) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (part.empty() || error != std::errc()) return std::nullopt;
    if (end != part.data() + part.size()) {  // "3.14.0rc1": of that release
      release.push_back(number);
      return release;
    }
    release.push_back(number);
  }
  return release;
}

int Compare(Release a, Release b) {
  a.resize(std::max(a.size(), b.size()));
  b.resize(a.size());
  return a < b ? -1 : a == b ? 0 : 1;
}

bool StartsWith(const Release& version, const Release& prefix) {
  return version.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), version.begin());
}

bool ClauseHolds(const Release& version, std::string_view clause) {
  constexpr std::array<std::string_view, 7> kOperators = {"~=", "==", "!=", "<=", ">=", "<", ">"};
  const auto* found = std::find_if(kOperators.begin(), kOperators.end(),
                                   [&](std::string_view op) { return clause.starts_with(op); });
  std::string_view text = found == kOperators.end() ? "" : base::Trim(clause.substr(found->size()));
  const bool prefix = text.ends_with(".*");
  if (prefix) text.remove_suffix(2);
  const auto release = ParseRelease(text);
  if (!release.has_value() || (prefix && *found != "==" && *found != "!=") ||
      (*found == "~=" && release->size() < 2)) {
    RefuseDocument("requires-python",
                   fmt::format("`{}` is no version specifier", base::Printable(clause)));
  }
  const int order = Compare(version, *release);
  const bool equal = prefix ? StartsWith(version, *release) : order == 0;
  if (*found == "==") return equal;
  if (*found == "!=") return !equal;
  if (*found == "<=") return order <= 0;
  if (*found == ">=") return order >= 0;
  if (*found == "<") return order < 0;
  if (*found == ">") return order > 0;
  return order >= 0 && StartsWith(version, Release(release->begin(), release->end() - 1));
}

}  // namespace

std::optional<std::string> FindScriptMetadata(std::string_view script) {
  constexpr std::string_view kStart = "# /// script";
  constexpr std::string_view kEnd = "# ///";
  std::optional<std::string> found;
  bool inside = false;
  for (std::string line : base::Split(script, '\n')) {
    if (line.ends_with('\r')) line.pop_back();
    if (!inside) {
      if (line != kStart) continue;
      if (found.has_value()) RefuseDocument("the script's metadata", "it has two `script` blocks");
      inside = true;
      found.emplace();
    } else if (line == kEnd) {
      inside = false;
    } else if (line == "#") {
      *found += '\n';
    } else if (line.starts_with("# ")) {
      *found += line.substr(2) + '\n';
    } else {
      break;
    }
  }
  if (inside)
    RefuseDocument("the script's metadata", "its block is not closed",
                   "end it with a line `# ///`");
  return found;
}

ScriptMetadata ReadScriptMetadata(std::string_view document) {
  const json data = DataOf(document);
  ScriptMetadata metadata{TextsAt(data, "dependencies", "the script's metadata"), {}};
  if (const auto found = data.find("requires-python"); found != data.end()) {
    if (!found->is_string())
      RefuseDocument("the script's metadata", "`requires-python` is no text");
    found->get_to(metadata.requires_python);
  }
  return metadata;
}

std::vector<std::string> ReadDependencies(std::string_view document, const std::string& group) {
  const json data = DataOf(document);
  std::vector<std::string> texts;
  if (!group.empty()) {
    AddGroup(data.value("dependency-groups", json::object()), group, 0, texts);
    return texts;
  }
  const json project = data.value("project", json());
  if (!project.is_object())
    RefuseDocument("pyproject.toml", "it has no [project]",
                   "name one of its dependency groups: `pyproject.toml:GROUP`");
  return TextsAt(project, "dependencies", "pyproject.toml");
}

RequirementSet ReadPylock(std::string_view document) {
  const json data = DataOf(document);
  if (!OwnText(data, "lock-version").starts_with("1."))
    RefuseDocument("pylock.toml", "its lock-version is not 1.x");
  const json packages = data.value("packages", json::array());
  if (!packages.is_array() || packages.size() > kEntryLimit)
    RefuseDocument("pylock.toml", "its packages are no list, or too many");
  RequirementSet set;
  set.closed = true;
  for (const json& package : packages) AddPackage(package, set);
  return set;
}

bool PythonIsWithin(std::string_view version, std::string_view specifier) {
  const auto release = ParseRelease(version);
  RUNDLET_CHECK(release.has_value());
  const std::vector<std::string> clauses = base::Split(specifier, ',');
  return std::all_of(clauses.begin(), clauses.end(), [&](const std::string& clause) {
    return base::Trim(clause).empty() || ClauseHolds(*release, base::Trim(clause));
  });
}

}  // namespace rundlet::rootfs
