#include "data/tables/tables.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fs.h"

namespace rundlet::data {
namespace {

using nlohmann::json;

constexpr size_t kTableLimit = 16 << 20;
constexpr int kVersion = 1;

json ToJson(const Table& table) {
  json files = json::array();
  for (const TableFile& file : table.files) {
    files.push_back(
        {{"file", file.file}, {"rows", file.rows}, {"bytes", file.bytes}, {"run", file.run}});
  }
  return {{"version", kVersion},
          {"columns", table.columns},
          {"files", files},
          {"fingerprint", table.fingerprint.has_value() ? json(table.fingerprint->hex()) : json()},
          {"preview", json::parse(table.preview)},
          {"updated_at", table.updated_at}};
}

// Our own record; anything else is a damaged state directory.
Table FromJson(const std::string& project, const std::string& name, const std::string& text) {
  try {
    const json document = json::parse(text);
    Table table = {.project = project,
                   .name = name,
                   .columns = document.at("columns"),
                   .files = {},
                   .fingerprint = {}};
    for (const json& file : document.at("files")) {
      table.files.push_back({file.at("file"), file.at("rows"), file.at("bytes"), file.at("run")});
    }
    if (!document.at("fingerprint").is_null()) {
      table.fingerprint = base::Digest::Parse(document.at("fingerprint").get<std::string>());
    }
    table.preview = document.value("preview", json::array()).dump();
    table.updated_at = document.at("updated_at");
    return table;
  } catch (const json::exception& error) {
    throw base::Error(base::Fault::kHost, fmt::format("reading the record of table `{}`", name))
        .Because(error.what());
  }
}

// One commit to a table at a time, across processes.
base::UniqueFd LockTable(int dir) {
  base::UniqueFd lock = base::OpenAt(dir, ".lock", O_RDWR | O_CREAT, 0600);
  while (flock(lock.get(), LOCK_EX) < 0) {
    if (errno != EINTR) base::ThrowErrno("locking a table");
  }
  return lock;
}

void RemoveUnlisted(int dir, const Table& table) {
  for (const base::DirEntry& entry : base::ListDir(dir)) {
    const bool listed =
        std::any_of(table.files.begin(), table.files.end(),
                    [&entry](const TableFile& file) { return file.file == entry.name; });
    if (!listed && entry.name.ends_with(".parquet")) base::RemoveTree(dir, entry.name);
  }
}

}  // namespace

uint64_t Table::rows() const {
  uint64_t sum = 0;
  for (const TableFile& file : files) sum += file.rows;
  return sum;
}

uint64_t Table::bytes() const {
  uint64_t sum = 0;
  for (const TableFile& file : files) sum += file.bytes;
  return sum;
}

std::string Table::Directory() const { return fmt::format("tables/{}/{}", project, name); }

std::optional<Table> FindTable(store::Store& store, const std::string& project,
                               const std::string& name) {
  const std::string path = fmt::format("tables/{}/{}/table.json", project, name);
  if (!base::IsPlainRelative(path)) return std::nullopt;
  const auto file = base::TryOpenAt(store.dir(), path, O_RDONLY);
  if (!file.has_value()) return std::nullopt;
  return FromJson(project, name, base::ReadFd(file->get(), kTableLimit, path));
}

std::optional<OpenedTable> OpenTable(store::Store& store, const std::string& project,
                                     const std::string& name) {
  std::vector<TableFile> gone;
  while (std::optional<Table> table = FindTable(store, project, name)) {
    const base::UniqueFd dir =
        base::OpenAt(store.dir(), table->Directory(), O_RDONLY | O_DIRECTORY);
    std::vector<base::UniqueFd> files;
    for (const TableFile& file : table->files) {
      if (auto opened = base::TryOpenAt(dir.get(), file.file, O_PATH))
        files.push_back(*std::move(opened));
    }
    if (files.size() == table->files.size())
      return OpenedTable{*std::move(table), std::move(files)};
    // Another run has replaced it since its record was read: then there is another record.
    if (table->files == gone) {
      throw base::Error(base::Fault::kHost, fmt::format("reading table `{}`", name))
          .Because("files of it are missing");
    }
    gone = std::move(table->files);
  }
  return std::nullopt;
}

std::vector<Table> ListTables(store::Store& store) {
  std::vector<Table> tables;
  for (const base::DirEntry& project : base::ListDir(store.dir(), "tables")) {
    for (const base::DirEntry& name : base::ListDir(store.dir(), "tables/" + project.name)) {
      if (std::optional<Table> table = FindTable(store, project.name, name.name))
        tables.push_back(*std::move(table));
    }
  }
  return tables;
}

Table CommitTable(store::Store& store, const NewContent& content) {
  Table table = {.project = content.project,
                 .name = content.name,
                 .columns = {},
                 .files = {},
                 .fingerprint = {}};
  base::MakeDirs(store.dir(), table.Directory(), 0700);
  const base::UniqueFd dir = base::OpenAt(store.dir(), table.Directory(), O_RDONLY | O_DIRECTORY);
  const base::UniqueFd lock = LockTable(dir.get());
  if (content.mode == CommitMode::kAppend) {
    if (std::optional<Table> before = FindTable(store, content.project, content.name))
      table = *std::move(before);
  }
  const base::UniqueFd file =
      base::OpenAt(store.dir(), content.source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  struct stat info;
  if (fstat(file.get(), &info) < 0 || !S_ISREG(info.st_mode)) {
    throw base::Error(base::Fault::kBug, fmt::format("keeping table `{}`", content.name))
        .Because("what was written is not a regular file");
  }
  // A step's user wrote it: from here on it is ours alone.
  if (fchown(file.get(), 0, 0) < 0 || fchmod(file.get(), 0444) < 0 || fsync(file.get()) < 0) {
    base::ThrowErrno("keeping table `{}`", content.name);
  }
  const std::string name = fmt::format("{}-{}.parquet", content.run, table.files.size());
  if (renameat(store.dir(), content.source.c_str(), dir.get(), name.c_str()) < 0) {
    base::ThrowErrno("keeping table `{}`", content.name);
  }
  table.files.push_back({name, content.rows, static_cast<uint64_t>(info.st_size), content.run});
  table.columns = content.columns;
  table.fingerprint = content.mode == CommitMode::kReplace ? content.fingerprint : std::nullopt;
  table.preview = content.mode == CommitMode::kReplace ? content.preview : "[]";
  table.updated_at = std::time(nullptr);
  base::ReplaceAt(dir.get(), "table.json", ToJson(table).dump(1), 0600, base::Durability::kSynced);
  RemoveUnlisted(dir.get(), table);
  return table;
}

}  // namespace rundlet::data
