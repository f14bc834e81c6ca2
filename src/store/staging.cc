#include "store/staging.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "base/fs.h"
#include "store/lock.h"

namespace rundlet::store {
namespace {

constexpr char kFolder[] = "staging";
constexpr char kLockFile[] = ".lock";
// An id is also an offset in the lock file, which is a positive signed number.
constexpr uint64_t kIdMask = (uint64_t{1} << 62) - 1;

uint64_t RandomId() {
  uint64_t id = 0;
  if (getrandom(&id, sizeof id, 0) != static_cast<ssize_t>(sizeof id)) {
    base::ThrowErrno("choosing a name in `{}`", kFolder);
  }
  return id & kIdMask;
}

std::string NameOf(uint64_t id) { return fmt::format("{:016x}", id); }

std::optional<uint64_t> IdOf(const std::string& name) {
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id, 16);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  if (id > kIdMask || NameOf(id) != name) return std::nullopt;
  return id;
}

base::UniqueFd OpenFolder(int state) {
  return base::OpenAt(state, kFolder, O_RDONLY | O_DIRECTORY);
}

base::UniqueFd OpenLockFile(int folder) {
  return base::OpenAt(folder, kLockFile, O_RDWR | O_CREAT, 0600);
}

bool TryLockId(int lock_file, uint64_t id) {
  return TryLock(lock_file, LockMode::kExclusive, {static_cast<off_t>(id), 1});
}

}  // namespace

struct Staging::State {
  base::UniqueFd folder;
  base::UniqueFd lock;  // an open file of our own: closing it drops the lock
  std::string name;     // empty when there is nothing (more) to remove
  base::UniqueFd dir;
  base::UniqueFd tree;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // The lock outlives the directory: members are destroyed after this body.
  ~State() {
    if (name.empty()) return;
    try {
      base::RemoveTree(folder.get(), name);
    } catch (const std::exception&) {
      // A destructor cannot report it; the next sweep tries again.
    }
  }

  // Takes an id; `place` puts a directory of that name into the folder, or returns -1 with errno
  // set.
  template <typename Place>
  static std::unique_ptr<State> Reserve(int state_dir, Place place) {
    auto state = std::make_unique<State>();
    state->folder = OpenFolder(state_dir);
    state->lock = OpenLockFile(state->folder.get());
    while (true) {
      const uint64_t id = RandomId();
      if (!TryLockId(state->lock.get(), id)) continue;
      const std::string name = NameOf(id);
      if (place(state->folder.get(), name) == 0) {
        state->name = name;
        return state;
      }
      if (errno != EEXIST) base::ThrowErrno("creating a directory in `{}`", kFolder);
    }
  }
};

Staging::Staging(std::unique_ptr<State> state) : state_(std::move(state)) {}
Staging::Staging(Staging&&) noexcept = default;
Staging& Staging::operator=(Staging&&) noexcept = default;
Staging::~Staging() = default;

int Staging::dir() const { return state_->dir.get(); }
int Staging::tree() const { return state_->tree.get(); }
std::string Staging::tree_path() const { return fmt::format("{}/{}/tree", kFolder, state_->name); }

Staging Staging::Create(int state_dir) {
  auto state = State::Reserve(state_dir, [](int folder, const std::string& name) {
    return mkdirat(folder, name.c_str(), 0755);
  });
  state->dir = base::OpenAt(state->folder.get(), state->name, O_RDONLY | O_DIRECTORY);
  base::MakeDirs(state->dir.get(), "tree");
  state->tree = base::OpenAt(state->dir.get(), "tree", O_RDONLY | O_DIRECTORY);
  // Whatever the umask: sandboxes see the tree as another user.
  if (fchmod(state->tree.get(), 0755) < 0) base::ThrowErrno("setting the mode of a staged tree");
  return Staging(std::move(state));
}

Staging Staging::Seize(int state_dir, const std::string& path) {
  return Staging(State::Reserve(state_dir, [&](int folder, const std::string& name) {
    return renameat(state_dir, path.c_str(), folder, name.c_str());
  }));
}

void Staging::Sweep(int state_dir) {
  base::UniqueFd folder;
  base::UniqueFd lock;
  for (const base::DirEntry& entry : base::ListDir(state_dir, kFolder)) {
    const std::optional<uint64_t> id = IdOf(entry.name);
    if (!id) continue;
    if (!lock.valid()) {
      folder = OpenFolder(state_dir);
      lock = OpenLockFile(folder.get());
    }
    if (!TryLockId(lock.get(), *id)) continue;
    try {
      base::RemoveTree(folder.get(), entry.name);
    } catch (const base::Error&) {
      // A leftover in the way is no reason to refuse the store.
    }
  }
}

bool Staging::MoveTo(int state_dir, const std::string& path) {
  if (renameat(state_->folder.get(), state_->name.c_str(), state_dir, path.c_str()) < 0) {
    if (errno == ENOTEMPTY || errno == EEXIST) return false;
    base::ThrowErrno("moving a finished entry to `{}`", path);
  }
  state_->name.clear();
  return true;
}

}  // namespace rundlet::store
