#include "store/catalog.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <mutex>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "base/fs.h"
#include "store/lock.h"

namespace rundlet::store {
namespace {

constexpr char kFile[] = "catalog.db";
constexpr char kLockFile[] = "catalog.lock";
constexpr int kSchemaVersion = 1;
// Transactions here are a few rows long; whoever waits longer than this looks at a stopped process.
constexpr int kBusyMilliseconds = 2000;

constexpr char kSchema[] =
    "CREATE TABLE IF NOT EXISTS entries ("
    " kind TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, meta TEXT NOT NULL,"
    " output TEXT NOT NULL, bytes INTEGER NOT NULL, files INTEGER NOT NULL,"
    " created_at INTEGER NOT NULL, PRIMARY KEY (kind, key)) STRICT";
constexpr char kSelect[] =
    "SELECT key, name, meta, output, bytes, files, created_at FROM entries WHERE kind = ?1"
    " ORDER BY key";
constexpr char kUpsert[] =
    "INSERT OR REPLACE INTO entries (kind, key, name, meta, output, bytes, files, created_at)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
constexpr char kDelete[] = "DELETE FROM entries WHERE kind = ?1 AND key = ?2";

struct Closer {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, Closer>;
using StatementPtr = std::unique_ptr<sqlite3_stmt, Closer>;

// The file is not a catalog, or no longer.
class Damaged : public base::Error {
 public:
  using base::Error::Error;
  explicit Damaged(base::Error&& error) : base::Error(std::move(error)) {}
};

[[noreturn]] void Fail(sqlite3* database, int code) {
  base::Error error = base::Error(base::Fault::kHost, fmt::format("using the catalog `{}`", kFile))
                          .Because(sqlite3_errmsg(database));
  const int primary = code & 0xff;
  if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB) throw Damaged(std::move(error));
  if (primary == SQLITE_FULL) error.SetHint(base::ErrnoError(ENOSPC, "").hint());
  throw error;
}

// One use of a prepared statement: parameters bound by position, reset at the end.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }

  // The text is borrowed until the end of this use.
  void Bind(int position, std::string_view text) {
    Check(sqlite3_bind_text64(statement_, position, text.data(), text.size(), SQLITE_STATIC,
                              SQLITE_UTF8));
  }
  void Bind(int position, int64_t number) {
    Check(sqlite3_bind_int64(statement_, position, number));
  }
  // False at the end of the rows.
  bool Step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    Fail(sqlite3_db_handle(statement_), code);
  }
  std::string Text(int column) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    const int size = sqlite3_column_bytes(statement_, column);
    return text == nullptr ? std::string() : std::string(text, static_cast<size_t>(size));
  }
  int64_t Number(int column) { return sqlite3_column_int64(statement_, column); }

 private:
  void Check(int code) {
    if (code != SQLITE_OK) Fail(sqlite3_db_handle(statement_), code);
  }
  sqlite3_stmt* statement_;
};

void Execute(sqlite3* database, const char* sql) {
  const int code = sqlite3_exec(database, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) Fail(database, code);
}

StatementPtr Prepare(sqlite3* database, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) Fail(database, code);
  return StatementPtr(statement);
}

int64_t SchemaVersion(sqlite3* database) {
  const StatementPtr prepared = Prepare(database, "PRAGMA user_version");
  Statement statement(prepared.get());
  return statement.Step() ? statement.Number(0) : 0;
}

base::UniqueFd LockCatalog(int state_dir) {
  base::UniqueFd fd = base::OpenAt(state_dir, kLockFile, O_RDWR | O_CREAT, 0600);
  Lock(fd.get(), LockMode::kExclusive, {0, 1});
  return fd;
}

ino_t InodeOf(int state_dir) {
  const std::optional<struct stat> info = base::StatAt(state_dir, kFile);
  return info ? info->st_ino : 0;
}

// Ends a transaction that is not committed. (An error inside sqlite may have ended it already: then
// this does nothing.)
class Transaction {
 public:
  explicit Transaction(sqlite3* database) : database_(database) {
    Execute(database_, "BEGIN IMMEDIATE");
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() {
    if (!committed_) sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  void Commit() {
    Execute(database_, "COMMIT");
    committed_ = true;
  }

 private:
  sqlite3* database_;
  bool committed_ = false;
};

}  // namespace

struct Catalog::State {
  Database database;
  StatementPtr select;
  StatementPtr upsert;
  StatementPtr remove;

  explicit State(int state_dir) {
    // sqlite opens by name; the link in /proc leads to the directory we hold, wherever it was
    // moved.
    const std::string path = fmt::format("/proc/self/fd/{}/{}", state_dir, kFile);
    sqlite3* opened = nullptr;
    const int code =
        sqlite3_open_v2(path.c_str(), &opened,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    database.reset(opened);
    if (code != SQLITE_OK) Fail(opened, code);
    sqlite3_extended_result_codes(opened, 1);
    sqlite3_busy_timeout(opened, kBusyMilliseconds);
    // Commands are short-lived: the last one to leave shall neither copy the log back nor remove
    // it.
    sqlite3_db_config(opened, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    int persist = 1;
    sqlite3_file_control(opened, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    // With a log, NORMAL risks the last rows at a power cut, never the file; rows come back from
    // the records.
    Execute(opened, "PRAGMA synchronous = NORMAL");
    EnsureSchema(state_dir);
    select = Prepare(opened, kSelect);
    upsert = Prepare(opened, kUpsert);
    remove = Prepare(opened, kDelete);
  }

  void EnsureSchema(int state_dir) {
    int64_t version = SchemaVersion(database.get());
    if (version == 0) {
      // The change to a log does not wait for others who do the same; our own lock does.
      const base::UniqueFd lock = LockCatalog(state_dir);
      version = SchemaVersion(database.get());
      if (version == 0) {
        Execute(database.get(), "PRAGMA journal_mode = WAL");
        Transaction transaction(database.get());
        Execute(database.get(), kSchema);
        Execute(database.get(), fmt::format("PRAGMA user_version = {}", kSchemaVersion).c_str());
        transaction.Commit();
        version = kSchemaVersion;
      }
    }
    if (version != kSchemaVersion) {
      throw base::Error(base::Fault::kHost, fmt::format("opening the catalog `{}`", kFile))
          .Because(fmt::format("it has schema {}, and this program knows schema {}", version,
                               kSchemaVersion))
          .Hint("use the version of rundlet that made it");
    }
  }
};

struct Catalog::Guarded {
  std::mutex mutex;
  std::unique_ptr<State> state;  // null until first needed
  ino_t inode = 0;               // of the file that `state` has open
};

Catalog::Catalog(int state) : state_dir_(state), guarded_(std::make_unique<Guarded>()) {}
Catalog::~Catalog() = default;

void Catalog::Run(const std::function<void(State&)>& work) {
  const std::lock_guard guard(guarded_->mutex);
  try {
    if (!guarded_->state) {
      guarded_->inode = InodeOf(state_dir_);
      guarded_->state = std::make_unique<State>(state_dir_);
    }
    return work(*guarded_->state);
  } catch (const Damaged&) {
    guarded_->state.reset();
  }
  {
    const base::UniqueFd lock = LockCatalog(state_dir_);
    // Unless another process has replaced it meanwhile.
    if (InodeOf(state_dir_) == guarded_->inode) {
      for (const char* suffix : {"", "-wal", "-shm"}) {
        base::RemoveTree(state_dir_, fmt::format("{}{}", kFile, suffix));
      }
    }
  }
  auto state = std::make_unique<State>(state_dir_);
  guarded_->inode = InodeOf(state_dir_);
  guarded_->state = std::move(state);
  work(*guarded_->state);
}

std::vector<EntryInfo> Catalog::List(Kind kind) {
  std::vector<EntryInfo> entries;
  Run([&](State& state) {
    entries.clear();
    Statement statement(state.select.get());
    statement.Bind(1, FolderOf(kind));
    while (statement.Step()) {
      EntryInfo info;
      info.kind = kind;
      info.key = statement.Text(0);
      info.name = statement.Text(1);
      info.meta = statement.Text(2);
      info.output = base::Digest::Parse(statement.Text(3)).value_or(base::Digest());
      info.bytes = static_cast<uint64_t>(statement.Number(4));
      info.files = static_cast<uint64_t>(statement.Number(5));
      info.created_at = statement.Number(6);
      entries.push_back(std::move(info));
    }
  });
  return entries;
}

void Catalog::Put(const std::vector<EntryInfo>& entries) {
  Run([&](State& state) {
    Transaction transaction(state.database.get());
    for (const EntryInfo& info : entries) {
      const std::string output = info.output.hex();
      Statement statement(state.upsert.get());
      statement.Bind(1, FolderOf(info.kind));
      statement.Bind(2, info.key);
      statement.Bind(3, info.name);
      statement.Bind(4, info.meta);
      statement.Bind(5, output);
      statement.Bind(6, static_cast<int64_t>(info.bytes));
      statement.Bind(7, static_cast<int64_t>(info.files));
      statement.Bind(8, info.created_at);
      statement.Step();
    }
    transaction.Commit();
  });
}

void Catalog::Forget(Kind kind, const std::vector<std::string>& keys) {
  Run([&](State& state) {
    Transaction transaction(state.database.get());
    for (const std::string& key : keys) {
      Statement statement(state.remove.get());
      statement.Bind(1, FolderOf(kind));
      statement.Bind(2, key);
      statement.Step();
    }
    transaction.Commit();
  });
}

}  // namespace rundlet::store
