#include "plans/read/project_document.h"

#include <nlohmann/json.hpp>

#include "plans/read/document.h"
#include "plans/read/reader_protocol.h"
#include "plans/read/toml_document.h"
#include "plans/shown_text.h"

namespace rundlet::plans {
namespace {

using nlohmann::json;

constexpr size_t kMaxReference = 512;  // bytes of an image's reference
constexpr size_t kMaxPath = 4'096;
constexpr size_t kMaxWord = 1'024;
constexpr size_t kMaxIndexes = 100;

std::optional<TableFormat> FormatOfPath(std::string_view path) {
  if (path.ends_with(".parquet") || path.ends_with(".pq")) return TableFormat::kParquet;
  if (path.ends_with(".csv")) return TableFormat::kCsv;
  if (path.ends_with(".arrow") || path.ends_with(".feather")) return TableFormat::kArrow;
  return std::nullopt;
}

std::optional<TableFormat> ParseFormat(std::string_view word) {
  for (const TableFormat format : {TableFormat::kParquet, TableFormat::kCsv, TableFormat::kArrow}) {
    if (NameOf(format) == word) return format;
  }
  return std::nullopt;
}

std::optional<ParameterValue> DefaultOf(ParameterType type, const json& value) {
  switch (type) {
    case ParameterType::kInt:
      return value.is_number_integer() ? ParseParameter(type, value.dump()) : std::nullopt;
    case ParameterType::kFloat:
      return value.is_number() ? ParseParameter(type, value.dump()) : std::nullopt;
    case ParameterType::kBool:
      return value.is_boolean() ? ParseParameter(type, value.dump()) : std::nullopt;
    case ParameterType::kStr:
    case ParameterType::kDate:  // TOML's own dates come as their text
      return value.is_string() ? ParseParameter(type, value.get_ref<const std::string&>())
                               : std::nullopt;
  }
  return std::nullopt;
}

// What is declared wrongly is kept as far as it goes: nobody sees the result then, and steps that
// use it are not blamed for it.
class ProjectReader {
 public:
  ProjectReader(const json& lines, std::vector<Problem>& problems)
      : toml_(kProjectFile, lines, problems) {}

  ProjectDocument Read(const json& data) {
    toml_.CheckKeys(data, {}, {"project", "python", "images", "index", "tables", "parameters"});
    if (const json* project = toml_.Table(data, {"project"})) ReadProject(*project);
    if (const json* images = toml_.Table(data, {"images"})) ReadImages(*images);
    if (const json* python = toml_.Table(data, {"python"})) {
      ReadPython(*python);
    } else {
      read_.default_image_is_bad = data.contains("python");
    }
    if (const auto found = data.find("index"); found != data.end()) ReadIndexes(*found);
    if (const json* tables = toml_.Table(data, {"tables"})) ReadTables(*tables);
    if (const json* parameters = toml_.Table(data, {"parameters"})) ReadParameters(*parameters);
    return std::move(read_);
  }

 private:
  void ReadProject(const json& project) {
    toml_.CheckKeys(project, {"project"}, {"name"});
    const auto name = toml_.Text(project, {"project", "name"}, kMaxWord);
    if (!name) return;
    if (!IsLabel(*name)) {
      toml_.Report({"project", "name"}, "it is not letters, digits, `.`, `_` and `-`, at most 128");
    }
    read_.config.name = *name;
  }

  void ReadImages(const json& images) {
    for (const auto& [key, value] : images.items()) {
      const TomlPath path = {"images", key};
      const auto name = ImageName::Parse(key);
      if (!name) {
        toml_.Report(path, "an image's name is letters, digits, `.`, `_` and `-`, at most 128");
        continue;
      }
      const std::string hint = "write a name that `rundlet image ls` lists";
      const std::string reference = toml_.Text(images, path, kMaxReference, hint).value_or("");
      if (reference.find(' ') != std::string::npos || reference.starts_with('-')) {
        toml_.Report(path, fmt::format("`{}` is not an image's reference", reference), hint);
      }
      read_.config.images.emplace(*name, reference);
    }
  }

  void ReadPython(const json& python) {
    toml_.CheckKeys(python, {"python"},
                    {"version", "pip", "image", "prefer", "build", "exclude-newer"});
    if (const auto found = python.find("version"); found != python.end())
      ReadVersion(python, *found);
    if (const auto found = python.find("pip"); found != python.end()) ReadPip(*found);
    ReadPackages(python, "prefer", read_.config.python.prefer);
    ReadPackages(python, "build", read_.config.python.build);
    if (const auto text = toml_.Text(python, {"python", "exclude-newer"}, kMaxWord))
      read_.config.python.exclude_newer = *text;
    const auto image = toml_.Text(python, {"python", "image"}, kMaxNameLength);
    if (image) {
      read_.config.python.image = KnownImage({"python", "image"}, *image);
    } else if (const auto& version = read_.config.python.version;
               version && !python.contains("image")) {
      KnownImage({"python", "version"}, *version);
    }
  }

  void ReadVersion(const json& python, const json& version) {
    const TomlPath path = {"python", "version"};
    if (version.is_number()) {
      read_.default_image_is_bad = true;
      return toml_.Report(path, "it is a number",
                          "write it as text, version = \"3.11\": the number 3.10 is 3.1");
    }
    read_.config.python.version = toml_.Text(python, path, kMaxWord);
    if (const auto& text = read_.config.python.version; text && !IsPythonVersion(*text)) {
      toml_.Report(path, fmt::format("`{}` is not a Python version", *text),
                   "write it as \"3.11\"");
      read_.config.python.version.reset();
    }
    read_.default_image_is_bad = !read_.config.python.version;
  }

  void ReadPip(const json& pip) {
    const TomlPath path = {"python", "pip"};
    if (!pip.is_array() || pip.size() > TomlDocument::kMaxEntries) {
      return toml_.Report(path, "it is not a list of requirements",
                          "write it as pip = [\"pandas==2.2.3\"]");
    }
    for (size_t i = 0; i < pip.size(); ++i) {
      const TomlPath here = {"python", fmt::format("pip[{}]", i)};
      const auto* const text = pip[i].get_ptr<const std::string*>();
      if (text == nullptr) {
        toml_.Report(here, "it is not text");
      } else if (const std::string fault = FaultOfRequirement(*text); !fault.empty()) {
        toml_.Report(here, fmt::format("`{}` {}", Cut(OneLine(*text), 80), fault));
      } else {
        read_.config.python.pip.push_back(*text);
      }
    }
  }

  // A list of packages below [python].
  void ReadPackages(const json& python, const char* key, std::vector<std::string>& names) {
    const auto found = python.find(key);
    if (found == python.end()) return;
    if (!found->is_array() || found->size() > TomlDocument::kMaxEntries) {
      return toml_.Report({"python", key}, "it is not a list of packages",
                          fmt::format("write it as {} = [\"opencv-python\"]", key));
    }
    for (size_t i = 0; i < found->size(); ++i) {
      const auto* const text = (*found)[i].get_ptr<const std::string*>();
      if (text == nullptr || !IsLabel(*text)) {
        toml_.Report({"python", fmt::format("{}[{}]", key, i)}, "it is not the name of a package");
      } else {
        names.push_back(*text);
      }
    }
  }

  void ReadIndexes(const json& indexes) {
    if (!indexes.is_array() || indexes.size() > kMaxIndexes) {
      return toml_.Report({"index"}, "it is not a list of indexes",
                          "begin each with a line [[index]]");
    }
    for (size_t i = 0; i < indexes.size(); ++i) {
      const std::string here = fmt::format("index[{}]", i);
      if (indexes[i].is_object()) {
        ReadIndex(indexes[i], here);
      } else {
        toml_.Report({here}, "it is not a table", "begin each index with a line [[index]]");
      }
    }
  }

  void ReadIndex(const json& table, const std::string& here) {
    toml_.CheckKeys(table, {here}, {"name", "url", "packages"});
    for (const char* key : {"name", "url", "packages"}) {
      if (!table.contains(key))
        return toml_.Report({here}, fmt::format("it has no `{}`", key),
                            "an index has a name, a url, and the packages that come from it");
    }
    ProjectIndex index;
    index.name = toml_.Text(table, {here, "name"}, kMaxWord).value_or("");
    index.url = toml_.Text(table, {here, "url"}, kMaxWord).value_or("");
    const json& packages = table["packages"];
    if (!packages.is_array() || packages.empty() || packages.size() > TomlDocument::kMaxEntries) {
      return toml_.Report({here, "packages"}, "it is not a list of packages",
                          "write it as packages = [\"torch\"]");
    }
    for (const json& package : packages) {
      const auto* const text = package.get_ptr<const std::string*>();
      if (text == nullptr || !IsLabel(*text))
        return toml_.Report({here, "packages"}, "it holds what is not the name of a package");
      index.packages.push_back(*text);
    }
    read_.config.indexes.push_back(std::move(index));
  }

  std::optional<ImageName> KnownImage(const TomlPath& path, const std::string& text) {
    const auto name = ImageName::Parse(text);
    if (name && read_.config.images.contains(*name)) return name;
    read_.default_image_is_bad = true;
    toml_.Report(path, fmt::format("[images] has no `{}`", text), HintForImage(read_.config, text));
    return std::nullopt;
  }

  void ReadTables(const json& tables) {
    for (const auto& [key, value] : tables.items()) {
      const TomlPath path = {"tables", key};
      const auto name = TableName::Parse(key);
      const json* const table = toml_.Table(tables, path);
      if (!name) {
        toml_.Report(path, "a table's name is letters, digits and underscores, at most 128");
        continue;
      }
      SourceTable source;
      source.place = toml_.PlaceOf(path);
      if (table != nullptr) ReadTable(*table, path, source);
      read_.config.tables.emplace(*name, std::move(source));
    }
  }

  void ReadTable(const json& table, const TomlPath& here, SourceTable& source) {
    toml_.CheckKeys(table, here, {"path", "format"});
    if (!table.contains("path"))
      return toml_.Report(here, "it has no `path`", "add path = \"data/*.parquet\"");
    const auto path = toml_.Text(table, {here[0], here[1], "path"}, kMaxPath);
    if (!path) return;
    source.path = *path;
    const TomlPath format_path = {here[0], here[1], "format"};
    const bool stated = table.contains("format");
    const auto word = toml_.Text(table, format_path, kMaxWord);
    if (stated && !word) return;
    const auto format = stated ? ParseFormat(*word) : FormatOfPath(*path);
    if (format) {
      source.format = *format;
    } else if (stated) {
      toml_.Report(format_path, fmt::format("`{}` is no format of a table", *word),
                   "use \"parquet\", \"csv\" or \"arrow\"");
    } else {
      toml_.Report(here, fmt::format("`{}` does not say what its files are", *path),
                   "add format = \"parquet\", \"csv\" or \"arrow\"");
    }
  }

  void ReadParameters(const json& parameters) {
    for (const auto& [key, value] : parameters.items()) {
      const TomlPath path = {"parameters", key};
      const auto name = ParameterName::Parse(key);
      const json* const table = toml_.Table(parameters, path);
      if (!name) {
        toml_.Report(path, "a parameter's name is letters, digits and underscores, at most 128");
        continue;
      }
      Parameter parameter;
      parameter.place = toml_.PlaceOf(path);
      if (table != nullptr) ReadParameter(*table, path, parameter);
      read_.config.parameters.emplace(*name, std::move(parameter));
    }
  }

  void ReadParameter(const json& table, const TomlPath& here, Parameter& parameter) {
    constexpr const char* kTypes = "\"int\", \"float\", \"str\", \"bool\" or \"date\"";
    toml_.CheckKeys(table, here, {"type", "default"});
    if (!table.contains("type"))
      return toml_.Report(here, "it has no `type`", fmt::format("add type = {}", kTypes));
    const TomlPath type_path = {here[0], here[1], "type"};
    const auto word = toml_.Text(table, type_path, kMaxWord);
    if (!word) return;
    const auto type = ParseParameterType(*word);
    if (!type) {
      return toml_.Report(type_path, fmt::format("`{}` is no type of a parameter", *word),
                          fmt::format("use {}", kTypes));
    }
    parameter.type = *type;
    const auto found = table.find("default");
    if (found == table.end()) return;
    parameter.value = DefaultOf(*type, *found);
    if (!parameter.value) {
      toml_.Report({here[0], here[1], "default"}, fmt::format("it is not of the type {}", *word));
    }
  }

  TomlDocument toml_;
  ProjectDocument read_;
};

}  // namespace

std::string HintForImage(const ProjectConfig& config, const std::string& wanted) {
  std::vector<std::string> names;
  for (const auto& [name, reference] : config.images) names.push_back(name.text());
  if (!names.empty())
    return fmt::format(
        "it has {}: use what is there, or add an image that `rundlet image ls` lists",
        NameSome(names, 5));
  const std::string version = IsPythonVersion(wanted) ? wanted : "3.11";
  return fmt::format(
      "add \"{}\" = \"NAME\" below [images] in rundlet.toml, with a NAME that `rundlet image ls` "
      "lists",
      version);
}

ProjectDocument ReadProjectDocument(std::string_view text, std::vector<Problem>& problems) {
  if (text.empty()) return {};
  constexpr std::string_view kWhat = "rundlet.toml as its parser gave it";
  const json document = ParseDocument(text, kWhat);
  try {
    const json& data = ObjectMember(document, "data", TomlDocument::kMaxEntries);
    return ProjectReader(ObjectMember(document, "lines", SIZE_MAX), problems).Read(data);
  } catch (const BadField& bad) {
    throw base::Error(base::Fault::kInvalid, fmt::format("reading {}", kWhat)).Because(bad.text);
  }
}

}  // namespace rundlet::plans
