#include "engine/locks/uv_cache.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/fs.h"
#include "base/walls.h"

namespace rundlet::engine {
namespace {

constexpr uint64_t kMost = uint64_t{1} << 30;
constexpr uint64_t kLeastOfFile = 4096;  // many empty ones take room too
constexpr unsigned kDepth = 64;

// Takes what is below `name` off `left`. False when that is not enough, or cannot be told: whoever
// wrote there may have meant it to be.
bool Fits(int dir, const std::string& name, uint64_t& left, unsigned depth) {
  struct stat info;
  if (fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return errno == ENOENT;
  const uint64_t bytes = std::max(static_cast<uint64_t>(info.st_blocks) * 512, kLeastOfFile);
  if (bytes > left || depth == 0) return false;
  left -= bytes;
  if (!S_ISDIR(info.st_mode)) return true;
  const base::UniqueFd folder(
      openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.valid()) return errno == ENOENT;
  const std::vector<base::DirEntry> entries = base::ListDir(folder.get());
  return std::all_of(entries.begin(), entries.end(), [&](const base::DirEntry& entry) {
    return Fits(folder.get(), entry.name, left, depth - 1);
  });
}

}  // namespace

// What it keeps of pages belongs to whoever may see them.
UvCache::UvCache(Engine& engine, const base::Digest& interpreter,
                 const std::vector<base::Digest>& realms)
    : engine_(engine) {
  base::Digest key = interpreter;
  if (!realms.empty()) {
    base::Sha256 hash;
    hash.AddField(interpreter.hex());
    for (const base::Digest& realm : realms) hash.AddField(realm.hex());
    key = hash.Finish();
  }
  folder_ = "cache/uv/" + key.hex();
  Bound();  // of a run that was killed
  base::MakeDirs(engine.store().dir(), folder_, 0700);
  utimensat(engine.store().dir(), folder_.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

UvCache::~UvCache() {
  try {
    Bound();
  } catch (const base::Error&) {
    // The next run of uv does it, or tells why not.
  }
}

void UvCache::Bound() {
  if (!base::Holds(base::Wall::kUvCache)) return;
  uint64_t left = kMost;
  if (!Fits(engine_.store().dir(), folder_, left, kDepth))
    base::RemoveTree(engine_.store().dir(), folder_);
}

}  // namespace rundlet::engine
