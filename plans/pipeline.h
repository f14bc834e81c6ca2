// A pipeline as its author wrote it, checked: models, expectations and the project's configuration,
// as plain values.
//
// Made by ReadPipeline only. Then every name is well-formed and unique, every input and parameter
// exists, every step has an image, and there is no cycle. Everything is in an order that does not
// depend on the order of the sources.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/digest.h"
#include "plans/name.h"
#include "plans/network.h"
#include "plans/parameters.h"

namespace rundlet::plans {

// Where something is written. Lines count from 1; 0: unknown.
struct Place {
  std::string file = {};  // relative to the project
  uint32_t line = 0;
  bool operator==(const Place&) const = default;
};

enum class TableFormat { kParquet, kCsv, kArrow };
std::string_view NameOf(TableFormat format);  // "parquet", "csv", "arrow"

// [tables.NAME]
struct SourceTable {
  std::string path;  // a host path or a glob, for the client to open with its own rights
  TableFormat format = TableFormat::kParquet;
  Place place;
  bool operator==(const SourceTable&) const = default;
};

// [parameters.NAME]
struct Parameter {
  ParameterType type = ParameterType::kStr;
  std::optional<ParameterValue> value;  // the default
  Place place;
  bool operator==(const Parameter&) const = default;
};

// [python]: for steps that do not say it themselves.
struct PythonDefaults {
  std::optional<std::string> version;  // "3.11"
  std::vector<std::string> pip;        // requirements
  std::optional<ImageName> image;
  std::vector<std::string> prefer;  // packages whose files win where two bring the same
  std::vector<std::string> build;   // packages that may be built from source
  std::string exclude_newer;        // releases uploaded from then on are not looked at; empty: none
  bool operator==(const PythonDefaults&) const = default;
};

// [[index]]: where some packages come from instead of the administrator's index.
struct ProjectIndex {
  std::string name;
  std::string url;
  std::vector<std::string> packages;
  bool operator==(const ProjectIndex&) const = default;
};

struct ProjectConfig {
  std::string name;  // empty when the project has none
  PythonDefaults python;
  std::vector<ProjectIndex> indexes;
  std::map<ImageName, std::string> images;  // name -> reference ("python:3.11-slim")
  std::map<TableName, SourceTable> tables;
  std::map<ParameterName, Parameter> parameters;
  bool operator==(const ProjectConfig&) const = default;
};

// The table that an input reads: of a model, or of the project.
using InputTable = std::variant<StepName, TableName>;
const std::string& NameOf(const InputTable& table);

struct Input {
  std::string argument;  // of the function; for SQL the table's name in the query
  InputTable table;
  std::optional<std::vector<std::string>> columns;  // in the order the step wants them; none: all
  std::string filter;  // canonical JSON of a FILTER (docs/reference/step-protocol.md); empty: none
  std::string filter_text;                  // as the author wrote it
  std::vector<std::string> filter_columns;  // that the filter looks at; sorted
  uint32_t line = 0;
  bool operator==(const Input&) const = default;
};

struct ParameterUse {
  std::string argument;
  ParameterName name;
  uint32_t line = 0;
  bool operator==(const ParameterUse&) const = default;
};

// A top-level import of a step's module that is not the standard library's.
struct Import {
  std::string name;  // first component
  uint32_t line = 0;
  bool operator==(const Import&) const = default;
};

enum class StepKind { kPython, kSql, kExpectation };
enum class Materialize { kNone, kReplace, kAppend };
std::string_view NameOf(StepKind kind);            // "python", "sql", "expectation"
std::string_view NameOf(Materialize materialize);  // "none", "replace", "append"

// What a step may use; never part of what its result depends on.
struct Limits {
  std::optional<double> cpus;
  std::optional<uint64_t> memory;  // bytes
  std::optional<uint32_t> pids;    // processes and threads
  std::optional<uint64_t> disk;    // bytes
  std::optional<double> timeout;   // seconds
  uint32_t retries = 0;
  bool operator==(const Limits&) const = default;
};

struct Step {
  StepName name;
  StepKind kind = StepKind::kPython;
  Place place;                // of the function's def, or of the query
  std::string doc;            // first line of the docstring; empty: none
  std::string function;       // python and expectation
  std::string sql;            // sql: the file's text
  base::Digest code;          // of all in the project that the step's behaviour depends on
  std::vector<Input> inputs;  // sorted by argument
  std::vector<ParameterUse> parameters;   // sorted by argument
  ImageName image;                        // a key of ProjectConfig::images
  std::optional<std::string> version;     // the Python that the image must have
  std::vector<std::string> requirements;  // PEP 508, the project's defaults applied; none for sql
  std::vector<Import> imports;
  Materialize materialize = Materialize::kNone;
  std::map<std::string, std::string> environment;  // environment variables
  Network network;
  Limits limits;
  bool operator==(const Step&) const = default;
};

struct Pipeline {
  ProjectConfig config;
  std::vector<Step> models;        // sorted by name
  std::vector<Step> expectations;  // sorted by name
  // The image whose engine environment scans tables and writes results: the project's default, else
  // the first (by name) that a step uses. Empty only when there is no step.
  ImageName engine_image;
  bool operator==(const Pipeline&) const = default;
};

// nullptr when there is no step of that name.
const Step* FindStep(const Pipeline& pipeline, const StepName& name);

}  // namespace rundlet::plans
