#include "store/entry_set.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ctime>

#include "base/error.h"
#include "base/fs.h"
#include "base/walls.h"
#include "store/record.h"

namespace rundlet::store {
namespace {

constexpr char kFolder[] = "leases/sets";
constexpr size_t kSetLimit = 16 << 20;

std::string PathOfSet(const base::Digest& key) { return fmt::format("{}/{}", kFolder, key.hex()); }

// One line each: "packages/<key> <inode> <size>", of its record. Records are never written into.
std::string Line(int state, Kind kind, const std::string& key) {
  const std::string dir = EntryDir(kind, key);
  struct stat record;
  if (fstatat(state, fmt::format("{}/{}", dir, kRecordFile).c_str(), &record, AT_SYMLINK_NOFOLLOW) <
      0) {
    base::ThrowErrno("looking at `{}`", dir);
  }
  return fmt::format("{} {} {}\n", dir, record.st_ino, record.st_size);
}

// Takes what is before the next `separator`, and the separator.
std::string_view Take(std::string_view& text, char separator) {
  const std::string_view taken = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(taken.size() + 1, text.size()));
  return taken;
}

uint64_t TakeNumber(std::string_view& line) {
  const std::string_view text = Take(line, ' ');
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Nothing of one that is too large: nobody wrote that, and so nobody can use it.
std::string ReadSet(int fd, std::string_view path) {
  struct stat info;
  if (fstat(fd, &info) < 0) base::ThrowErrno("looking at `{}`", path);
  if (info.st_size > static_cast<off_t>(kSetLimit)) return {};
  return base::ReadFd(fd, kSetLimit, path);
}

// As Store::Find, without reading: what is not the record that was read then is for Find to judge.
bool IsAsItWas(int state, std::string_view line, int64_t now) {
  std::string path(Take(line, ' '));
  const size_t dir = path.size();
  struct stat info;
  path.append("/").append(kTree);
  if (fstatat(state, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(info.st_mode))
    return false;
  path.resize(dir);
  path.append("/").append(kRecordFile);
  if (fstatat(state, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(info.st_mode))
    return false;
  if (info.st_ino != TakeNumber(line) || static_cast<uint64_t>(info.st_size) != TakeNumber(line))
    return false;
  if (info.st_mtim.tv_sec + kLastUseGranularity <= now)
    utimensat(state, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);  // as in Find, no matter if not
  return true;
}

}  // namespace

std::optional<UsedSet> EntrySets::Use(const base::Digest& key) const {
  std::optional<Lease> lease = Lease::ToUseKept(state_, PathOfSet(key));
  if (!lease) return std::nullopt;
  const std::string text = ReadSet(lease->fd_.get(), PathOfSet(key));
  std::string_view rest = text;
  // A power cut may have left a part of it.
  const std::string_view digest = Take(rest, '\n');
  if (digest != base::Digest::Of(rest).hex() && base::Holds(base::Wall::kSetBytes))
    return std::nullopt;
  const int64_t now = time(nullptr);
  while (true) {
    const std::string_view line = Take(rest, '\n');
    if (line.empty()) return UsedSet{std::string(rest), *std::move(lease)};
    if (!IsAsItWas(state_, line, now)) return std::nullopt;
  }
}

void EntrySets::Keep(const base::Digest& key, const EntrySet& set) const {
  std::string text;
  for (const auto& [kind, entry] : set.entries) text += Line(state_, kind, entry);
  text += "\n" + set.meta;
  base::MakeDirs(state_, kFolder, 0700);
  const std::string path = PathOfSet(key);
  // Until it is whole it has no name, and so leaves nothing when its maker is killed.
  const base::UniqueFd made = base::OpenAt(state_, kFolder, O_WRONLY | O_TMPFILE, 0600);
  base::WriteFd(made.get(), base::Digest::Of(text).hex() + "\n" + text, path);
  if (const auto old = Lease::ToRemove(state_, path)) base::RemoveTree(state_, path);
  if (linkat(made.get(), "", state_, path.c_str(), AT_EMPTY_PATH) < 0 && errno != EEXIST)
    base::ThrowErrno("keeping `{}`", path);
}

std::vector<std::string> EntrySets::Sweep() const {
  std::vector<std::string> in_use;
  if (!base::ExistsAt(state_, kFolder)) return in_use;
  for (const base::DirEntry& file : base::ListDir(state_, kFolder)) {
    const std::string path = fmt::format("{}/{}", kFolder, file.name);
    if (const auto lease = Lease::ToRemove(state_, path))
      base::RemoveTree(state_, path);
    else
      in_use.push_back(path);
  }
  return in_use;
}

bool EntrySets::AreUsing(Kind kind, std::string_view key) const {
  const std::string line = fmt::format("\n{} ", EntryDir(kind, key));
  for (const std::string& path : Sweep()) {
    const auto file = base::TryOpenAt(state_, path, O_RDONLY);
    if (file && ReadSet(file->get(), path).find(line) != std::string::npos) return true;
  }
  return false;
}

}  // namespace rundlet::store
