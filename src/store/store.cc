#include "store/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <map>
#include <set>

#include "base/error.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/walls.h"
#include "store/catalog.h"
#include "store/record.h"
#include "store/state_dir.h"

namespace rundlet::store {
namespace {

std::string LeasePath(Kind kind, std::string_view key) {
  std::string path = "leases/" + EntryDir(kind, key);
  path[path.rfind('/')] = '-';
  return path;
}

// An open record, and with it the certainty that the entry was there a moment ago.
struct OpenRecord {
  base::UniqueFd fd;
  int64_t last_used_at = 0;
};

std::optional<OpenRecord> TryOpenRecord(int state, const std::string& entry_dir) {
  std::optional<base::UniqueFd> fd =
      base::TryOpenAt(state, fmt::format("{}/{}", entry_dir, kRecordFile), O_RDONLY);
  if (!fd) return std::nullopt;
  const std::optional<struct stat> tree =
      base::StatAt(state, fmt::format("{}/{}", entry_dir, kTree));
  if (!tree || !S_ISDIR(tree->st_mode)) return std::nullopt;
  struct stat info;
  if (fstat(fd->get(), &info) < 0) base::ThrowErrno("looking at `{}/{}`", entry_dir, kRecordFile);
  return OpenRecord{std::move(*fd), info.st_mtim.tv_sec};
}

std::optional<EntryInfo> ReadRecord(const OpenRecord& record, Kind kind, std::string_view key) {
  struct stat info;
  if (fstat(record.fd.get(), &info) < 0) base::ThrowErrno("looking at the record of `{}`", key);
  if (info.st_size > static_cast<off_t>(kRecordLimit)) return std::nullopt;
  const std::string text = base::ReadFd(record.fd.get(), kRecordLimit, "an entry's record");
  std::optional<EntryInfo> entry = DecodeRecord(kind, key, text);
  if (entry) entry->last_used_at = record.last_used_at;
  return entry;
}

void SyncFolder(int state, std::string_view folder) {
  const base::UniqueFd fd = base::OpenAt(state, std::string(folder), O_RDONLY | O_DIRECTORY);
  if (fsync(fd.get()) < 0) base::ThrowErrno("syncing `{}`", folder);
}

}  // namespace

struct Store::State {
  std::string path;
  base::UniqueFd dir;
  Catalog catalog;

  State(std::string at, base::UniqueFd fd)
      : path(std::move(at)), dir(std::move(fd)), catalog(dir.get()) {}
};

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::~Store() = default;

std::unique_ptr<Store> Store::Open(const std::string& path) {
  if (path.empty()) {
    throw base::Error(base::Fault::kInvalid, "opening the state directory")
        .Because("its path is empty");
  }
  std::string absolute = std::filesystem::absolute(path).string();
  // A slash at the end would follow a link.
  while (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  base::UniqueFd dir = OpenStateDir(absolute);
  Staging::Sweep(dir.get());
  return std::unique_ptr<Store>(
      new Store(std::make_unique<State>(std::move(absolute), std::move(dir))));
}

int Store::dir() const { return state_->dir.get(); }
const std::string& Store::path() const { return state_->path; }

std::string Store::PathOf(Kind kind, std::string_view key) {
  return fmt::format("{}/{}", EntryDir(kind, key), kTree);
}

std::optional<EntryInfo> Store::Find(Kind kind, std::string_view key) {
  const std::optional<OpenRecord> record = TryOpenRecord(dir(), EntryDir(kind, key));
  if (!record) return std::nullopt;
  std::optional<EntryInfo> info = ReadRecord(*record, kind, key);
  const int64_t now = time(nullptr);
  if (info && info->last_used_at + kLastUseGranularity <= now) {
    // Not noted (a full or read-only disk) means pruned a little earlier: no reason to fail a read.
    if (futimens(record->fd.get(), nullptr) == 0) info->last_used_at = now;
  }
  return info;
}

std::vector<EntryInfo> Store::List(Kind kind) {
  std::map<std::string, EntryInfo> rows;
  for (EntryInfo& row : state_->catalog.List(kind)) {
    std::string key = row.key;
    rows.emplace(std::move(key), std::move(row));
  }
  std::vector<EntryInfo> entries;
  std::vector<EntryInfo> without_row;
  for (const base::DirEntry& name : base::ListDir(dir(), std::string(FolderOf(kind)))) {
    if (name.name.size() != 64 || !base::Digest::Parse(name.name)) continue;
    const std::optional<OpenRecord> record = TryOpenRecord(dir(), EntryDir(kind, name.name));
    if (!record) continue;
    if (const auto row = rows.find(name.name); row != rows.end()) {
      row->second.last_used_at = record->last_used_at;
      entries.push_back(std::move(row->second));
      rows.erase(row);
    } else if (std::optional<EntryInfo> info = ReadRecord(*record, kind, name.name)) {
      without_row.push_back(*info);
      entries.push_back(std::move(*info));
    }
  }
  // What changes while we look is put right by the next look: the folders decide.
  std::vector<std::string> without_entry;
  for (const auto& [key, row] : rows) without_entry.push_back(key);
  if (!without_row.empty()) state_->catalog.Put(without_row);
  if (!without_entry.empty()) state_->catalog.Forget(kind, without_entry);
  return entries;
}

Lease Store::Use(Kind kind, std::string_view key) {
  return Lease::ToUse(dir(), LeasePath(kind, key));
}

Lease Store::Make(Kind kind, std::string_view key, const base::CancelToken* cancel,
                  const WaitCallback& on_wait) {
  return Lease::ToMake(dir(), LeasePath(kind, key), cancel, on_wait);
}

Staging Store::NewStaging() { return Staging::Create(dir()); }

void Store::Commit(Staging staging, EntryInfo info) {
  std::vector<NewEntry> batch;
  batch.push_back({std::move(staging), std::move(info)});
  CommitAll(std::move(batch));
}

void Store::CommitAll(std::vector<NewEntry> batch) {
  const int64_t now = time(nullptr);
  for (NewEntry& entry : batch) {
    if (entry.info.created_at == 0) entry.info.created_at = now;
    for (const base::DirEntry& name : base::ListDir(entry.staging.dir())) {
      if (name.name != kTree) base::RemoveTree(entry.staging.dir(), name.name);
    }
    base::ReplaceAt(entry.staging.dir(), kRecordFile, EncodeRecord(entry.info), 0600,
                    base::Durability::kNone);
  }
  // Everything that was written for these entries, by whatever process, is on disk before any of it
  // has its name.
  if (syncfs(dir()) < 0) base::ThrowErrno("syncing the store");
  std::set<Kind> kinds;
  std::vector<EntryInfo> rows;
  for (NewEntry& entry : batch) {
    Place(entry);
    kinds.insert(entry.info.kind);
    rows.push_back(std::move(entry.info));
  }
  for (const Kind kind : kinds) SyncFolder(dir(), FolderOf(kind));
  try {
    state_->catalog.Put(rows);
  } catch (const base::Error&) {
    // The entries are there and durable; List takes them in when the catalog can be written again,
    // or reports it.
  }
}

void Store::Place(NewEntry& entry) {
  const std::string target = EntryDir(entry.info.kind, entry.info.key);
  while (!entry.staging.MoveTo(dir(), target)) {
    const std::optional<OpenRecord> record = TryOpenRecord(dir(), target);
    if (record) {
      if (std::optional<EntryInfo> winner = ReadRecord(*record, entry.info.kind, entry.info.key)) {
        entry.info = std::move(*winner);
        return;
      }
    }
    // Damaged: nobody could find it, so nobody uses it.
    const Staging damaged = Staging::Seize(dir(), target);
  }
}

Removal Store::Remove(Kind kind, std::string_view key, const std::function<bool()>& wanted) {
  const std::string lease_path = LeasePath(kind, key);
  const std::string entry_dir = EntryDir(kind, key);
  std::optional<Lease> lease = Lease::ToRemove(dir(), lease_path);
  // Nobody can put the entry into a set now: that takes its lease.
  const bool in_use = !lease || EntrySets(dir()).AreUsing(kind, key);
  if (in_use && base::Holds(base::Wall::kLeases)) return Removal::kInUse;
  if (wanted && wanted()) return Removal::kWanted;
  const bool is_there = base::ExistsAt(dir(), entry_dir);
  std::optional<Staging> removed;
  if (is_there) removed = Staging::Seize(dir(), entry_dir);
  try {
    state_->catalog.Forget(kind, {std::string(key)});
  } catch (const base::Error&) {
    // The row goes at the next List.
  }
  // While both its bytes are locked by us; whoever waits for them finds the file gone and makes a
  // new one.
  base::RemoveTree(dir(), lease_path);
  lease.reset();
  return is_there ? Removal::kRemoved : Removal::kAbsent;
}

std::optional<UsedSet> Store::UseSet(const base::Digest& key) { return EntrySets(dir()).Use(key); }

void Store::KeepSet(const base::Digest& key, const EntrySet& set) {
  try {
    EntrySets(dir()).Keep(key, set);
  } catch (const base::Error&) {
    // A full disk: then the next start takes its time as well.
  }
}

void Store::SweepLeases() {
  EntrySets(dir()).Sweep();
  for (const base::DirEntry& file : base::ListDir(dir(), "leases")) {
    const size_t dash = file.name.rfind('-');
    if (dash == file.name.npos) continue;
    const std::string folder = file.name.substr(0, dash);
    const std::string key = file.name.substr(dash + 1);
    if (!base::Digest::Parse(key) || base::ExistsAt(dir(), folder + "/" + key)) continue;
    const std::optional<Lease> lease = Lease::ToRemove(dir(), "leases/" + file.name);
    // Looked at again: whoever held the lease may have made the entry.
    if (!lease || base::ExistsAt(dir(), folder + "/" + key)) continue;
    base::RemoveTree(dir(), "leases/" + file.name);
  }
}

}  // namespace rundlet::store
