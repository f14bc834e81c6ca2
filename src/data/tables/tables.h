// The catalog of results: tables that outlive their run, as Parquet files.
//
// tables/<project>/<table>/table.json is the truth: it lists the files of the current content and
// is replaced atomically after they are on disk. A crash leaves the old content or the new one;
// files that no table.json lists are removed by the next commit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/fd.h"
#include "store/store.h"

namespace rundlet::data {

struct TableFile {
  std::string file;  // its name in the table's directory
  uint64_t rows = 0;
  uint64_t bytes = 0;
  std::string run;  // that made it
  bool operator==(const TableFile&) const = default;
};

struct Table {
  std::string project;
  std::string name;
  std::vector<std::pair<std::string, std::string>> columns;  // name, type
  std::vector<TableFile> files;
  std::optional<base::Digest>
      fingerprint;             // of the step that made all of it; absent after an append
  std::string preview = "[]";  // JSON: the first rows of what that step made
  int64_t updated_at = 0;      // seconds since the epoch

  uint64_t rows() const;
  uint64_t bytes() const;
  // "tables/<project>/<name>": relative to the state directory.
  std::string Directory() const;
};

std::vector<Table> ListTables(store::Store& store);  // by project and name
std::optional<Table> FindTable(store::Store& store, const std::string& project,
                               const std::string& name);

// A table whose files are open (O_PATH): they stay, whatever its content is replaced with. Nullopt
// when there is no such table.
struct OpenedTable {
  Table table;
  std::vector<base::UniqueFd> files;
};
std::optional<OpenedTable> OpenTable(store::Store& store, const std::string& project,
                                     const std::string& name);

enum class CommitMode { kReplace, kAppend };

// What a materialize task brings. `source` is a regular file (relative to the state directory) that
// is moved.
struct NewContent {
  std::string project;
  std::string name;
  std::string source;
  std::vector<std::pair<std::string, std::string>> columns;
  std::string preview = "[]";  // JSON: rows of scalars
  uint64_t rows = 0;
  std::string run;
  std::optional<base::Digest> fingerprint;
  CommitMode mode = CommitMode::kReplace;
};
// Survives a power cut once it returns. Throws base::Error, and then the old content stays.
Table CommitTable(store::Store& store, const NewContent& content);

}  // namespace rundlet::data
