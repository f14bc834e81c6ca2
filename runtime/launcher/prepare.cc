#include "runtime/launcher/prepare.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "runtime/child/defences.h"
#include "runtime/launcher/mounting.h"
#include "runtime/launcher/overlay.h"
#include "runtime/launcher/user_namespace.h"
#include "runtime/spec/proc_view.h"

namespace rundlet::runtime {
namespace {

using base::ThrowErrno;
using base::UniqueFd;

constexpr size_t kMaxKeptOverlays = 16;
// Empty files cost the kernel memory too.
constexpr uint64_t kBytesAFile = 4096;
constexpr uint64_t kLeastFiles = 1024;
constexpr size_t kMaxProcFile = size_t{16} << 20;
constexpr uint64_t kOnly = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

uint64_t ReadOnly() { return Stands(Defence::kReadOnly) ? MOUNT_ATTR_RDONLY : 0; }

using Writes = PreparedMount::Writes;

Writes If(bool writable) { return writable ? Writes::kAll : Writes::kNothing; }

uint64_t KeyOf(const IdRange& ids) { return uint64_t{ids.base} << 32 | ids.count; }

std::vector<std::string> KeyOf(const std::string& store, const Layers& layers) {
  std::vector<std::string> key = layers.paths;
  key.push_back(store);
  return key;
}

UniqueFd OpenStore(const std::string& store) {
  UniqueFd root(open(store.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) ThrowErrno("opening `{}`", store);
  return root;
}

// Beneath the store: a step may have written links on the way, and in this root they would be ours.
UniqueFd CloneFromStore(const std::string& store, const std::string& path) {
  const UniqueFd place = base::OpenAt(OpenStore(store).get(), path, O_PATH);
  return CloneTree(place.get(), "");
}

std::vector<UniqueFd> OpenLayers(const std::string& store, const Layers& layers) {
  const UniqueFd root = OpenStore(store);
  std::vector<UniqueFd> lowers;
  for (const std::string& path : layers.paths) {
    lowers.push_back(base::OpenAt(root.get(), path, O_PATH | O_DIRECTORY));
  }
  return lowers;
}

std::vector<int> Numbers(const std::vector<UniqueFd>& descriptors) {
  std::vector<int> numbers;
  for (const UniqueFd& fd : descriptors) numbers.push_back(fd.get());
  return numbers;
}

bool IsDirectory(int fd) {
  struct stat info;
  if (fstat(fd, &info) < 0) ThrowErrno("looking at a mount");
  return S_ISDIR(info.st_mode);
}

// A line. Every read from its beginning gives another one.
std::string FreshUuid() {
  static const UniqueFd source = base::OpenHostPath("/proc/sys/kernel/random/uuid", O_RDONLY);
  char text[64];
  const ssize_t count = pread(source.get(), text, sizeof text, 0);
  if (count <= 0) ThrowErrno("reading a uuid");
  return {text, static_cast<size_t>(count)};
}

// Whether a program of a sandbox might write it, or something below it, unless it is root.
bool IsOpenToPrograms(int root, const std::string& name, const IdRange& ids) {
  const UniqueFd entry = base::OpenAt(root, name, O_PATH | O_NOFOLLOW);
  struct stat info;
  if (fstat(entry.get(), &info) < 0) ThrowErrno("looking at `{}`", name);
  const bool of_root = info.st_uid == ids.base && info.st_gid == ids.base;
  if (!of_root || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) return true;
  if (!S_ISDIR(info.st_mode) || (info.st_mode & (S_IXGRP | S_IXOTH)) == 0) return false;
  std::error_code error;
  return !std::filesystem::is_empty(fmt::format("/proc/self/fd/{}", entry.get()), error) || error;
}

// A mount point with its parents.
void MakeTarget(int root, const std::string& path, bool file) {
  if (!file) return base::MakeDirs(root, path);
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos) base::MakeDirs(root, path.substr(0, slash));
  base::OpenAt(root, path, O_WRONLY | O_CREAT, 0644);
}

}  // namespace

std::string MountCache::StoreFor(const IdRange& ids, bool idmapped) {
  if (!idmapped) return "/store";
  std::string& path = stores_[KeyOf(ids)];
  if (path.empty()) {
    const UniqueFd store = CloneTree(AT_FDCWD, "/store");
    MapOwners(store.get(), NamespaceForMounts(ids).get());
    const std::string place = fmt::format("/ids/{}-{}", ids.base, ids.count);
    if (mkdir(place.c_str(), 0755) < 0 && errno != EEXIST) ThrowErrno("creating `{}`", place);
    runtime::Attach(store.get(), place);
    path = place;
  }
  return path;
}

// It then comes first.
MountCache::Kept* MountCache::Find(const std::string& store, const Layers& layers) {
  const std::vector<std::string> key = KeyOf(store, layers);
  for (auto kept = overlays_.begin(); kept != overlays_.end(); ++kept) {
    if (kept->key != key) continue;
    overlays_.splice(overlays_.begin(), overlays_, kept);
    return &*kept;
  }
  return nullptr;
}

UniqueFd MountCache::ReadOnlyOverlay(const std::string& store, const Layers& layers) {
  if (const Kept* kept = Find(store, layers)) return CloneTree(AT_FDCWD, kept->path);
  UniqueFd mount;
  if (layers.paths.size() == 1) {  // overlayfs wants two
    mount = CloneFromStore(store, layers.paths.front());
  } else {
    const std::vector<UniqueFd> lowers = OpenLayers(store, layers);
    mount = MountOverlay({.lowers = Numbers(lowers)});
  }
  SetAttributes(mount.get(), kOnly | ReadOnly(), 0);
  const std::string place = fmt::format("/layers/{}", next_++);
  if (mkdir(place.c_str(), 0755) < 0) ThrowErrno("creating `{}`", place);
  runtime::Attach(mount.get(), place);
  overlays_.push_front({KeyOf(store, layers), place, std::nullopt});
  if (overlays_.size() > kMaxKeptOverlays) {
    const std::string& oldest = overlays_.back().path;
    umount2(oldest.c_str(), MNT_DETACH);
    rmdir(oldest.c_str());
    overlays_.pop_back();
  }
  return CloneTree(AT_FDCWD, place);
}

const std::vector<std::string>* MountCache::EntriesOf(const std::string& store,
                                                      const Layers& layers) {
  const Kept* kept = Find(store, layers);
  return kept != nullptr && kept->entries.has_value() ? &*kept->entries : nullptr;
}

void MountCache::LookInto(const std::string& store, const Layers& layers, const IdRange& ids) {
  const UniqueFd clone = ReadOnlyOverlay(store, layers);
  const UniqueFd root = base::OpenAt(clone.get(), ".", O_RDONLY | O_DIRECTORY);
  std::vector<std::string> entries;
  for (const base::DirEntry& entry : base::ListDir(root.get())) {
    if (entry.type != DT_LNK && IsOpenToPrograms(root.get(), entry.name, ids))
      entries.push_back(entry.name);
  }
  Find(store, layers)->entries = std::move(entries);
}

Preparation::Preparation(MountCache& cache, const SandboxSpec& spec, std::vector<UniqueFd> handed)
    : ids_(spec.ids), handed_(std::move(handed)) {
  uint32_t index = 0;
  try {
    Attach(spec);
    for (; index < spec.mounts.mounts.size(); ++index) AddMount(cache, spec, index);
  } catch (const base::Error&) {
    const int error_number = errno != 0 ? errno : EINVAL;
    if (scratch_.valid()) umount2("/scratch", MNT_DETACH);
    throw MountFailure{index, error_number};
  }
  for (const std::string& argument : spec.argv)
    argv_.push_back(const_cast<char*>(argument.c_str()));
  std::string search = kDefaultPath;
  for (const auto& [name, value] : spec.environment) {
    environment_.push_back(const_cast<char*>(Keep(name + "=" + value)));
    if (name == "PATH") search = value;
  }
  const std::string& program = spec.argv.front();
  if (program.find('/') != std::string::npos) {
    programs_.push_back(const_cast<char*>(program.c_str()));
  } else {
    for (const std::string& directory : base::Split(search, ':')) {
      if (directory.starts_with('/'))
        programs_.push_back(const_cast<char*>(Keep(directory + "/" + program)));
    }
  }
  for (auto* list : {&argv_, &environment_, &programs_}) list->push_back(nullptr);
  record_.argv = argv_.data();
  record_.environment = environment_.data();
  record_.programs = programs_.data();
  record_.hostname = spec.hostname.c_str();
  record_.cwd = spec.cwd.c_str();
  record_.uid = spec.uid;
  record_.gid = spec.gid;
  record_.keeps = spec.privilege == Privilege::kUnpacker ? Keeps::kUnpacker : Keeps::kNothing;
  record_.pids = spec.limits.pids.value_or(kDefaultPids);
  record_.scratch = scratch_.get();
  record_.program = -1;
  record_.terminal = spec.terminal.has_value() ? &*spec.terminal : nullptr;
}

void Preparation::Learn(MountCache& cache) const noexcept {
  if (!unknown_.has_value()) return;
  try {
    cache.LookInto(cache.StoreFor(ids_, unknown_->idmapped), *unknown_, ids_);
  } catch (const base::Error&) {
    // The next sandbox lists its root itself, as this one did.
  }
}

Preparation::~Preparation() {
  if (scratch_.valid()) umount2("/scratch", MNT_DETACH);
}

// One tmpfs for the writable layer, /tmp, /dev/shm and all other scratch, so that one limit holds
// for them together.
void Preparation::Attach(const SandboxSpec& spec) {
  scratch_ = NewFileSystem(
      "tmpfs",
      {{"size", std::to_string(spec.scratch_bytes)},
       {"nr_inodes", std::to_string(std::max(kLeastFiles, spec.scratch_bytes / kBytesAFile))},
       {"mode", "0755"}},
      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  runtime::Attach(scratch_.get(), "/scratch");
}

std::string Preparation::NewScratchDirectory(uint32_t mode) {
  const std::string name = std::to_string(scratch_count_++);
  // Owned by the sandbox's root, not by its user: a mode that lets the user write says so.
  if (mkdirat(scratch_.get(), name.c_str(), mode) < 0 ||
      fchownat(scratch_.get(), name.c_str(), ids_.base, ids_.base, AT_SYMLINK_NOFOLLOW) < 0) {
    ThrowErrno("creating a scratch directory");
  }
  return name;
}

const char* Preparation::Keep(std::string text) {
  return texts_.emplace_back(std::move(text)).c_str();
}

PreparedMount& Preparation::Add(PreparedMount::Kind kind, const char* target, uint32_t index) {
  if (record_.mount_count == kMaxPreparedMounts) {
    errno = E2BIG;
    ThrowErrno("preparing mounts");
  }
  PreparedMount& mount = record_.mounts[record_.mount_count++];
  mount = {kind, index, -1, target, true, false, Writes::kNothing};
  return mount;
}

PreparedMount& Preparation::AddAttached(UniqueFd fd, const char* target, uint32_t index) {
  PreparedMount& mount = Add(PreparedMount::Kind::kAttach, target, index);
  mount.fd = fd.get();
  owned_.push_back(std::move(fd));
  return mount;
}

PreparedMount& Preparation::AddFromScratch(const std::string& name, const char* target,
                                           uint32_t index) {
  PreparedMount& mount = AddAttached(CloneTree(scratch_.get(), name), target, index);
  mount.kind = PreparedMount::Kind::kScratch;
  return mount;
}

void Preparation::AddScratch(const char* target, uint32_t mode, uint32_t index) {
  AddFromScratch(NewScratchDirectory(mode), target, index).writes = Writes::kAll;
}

void Preparation::AddDevices(uint32_t index) {
  AddAttached(CloneTree(AT_FDCWD, "/dev"), "dev", index).writes = Writes::kDevices;
  Add(PreparedMount::Kind::kDevpts, "dev/pts", index).writes = Writes::kDevices;
  AddScratch("dev/shm", 01777, index);
}

// Files of the launcher's own, which no id of a sandbox may write, over the kernel's.
void Preparation::AddProcFiles(const SandboxSpec& spec, const std::string& target, uint32_t index) {
  const auto host = [](const char* path) {
    return base::ReadFd(base::OpenHostPath(path, O_RDONLY).get(), kMaxProcFile, path);
  };
  const bool counted = spec.limits.cpus.has_value();
  const std::string cpuinfo = counted ? host("/proc/cpuinfo") : "";
  std::string stat = counted ? host("/proc/stat") : "";
  // As its uptime (child/child.cc), so does its boot begin now.
  static const bool has_own_time = access("/proc/self/ns/time", F_OK) == 0;
  if (has_own_time) stat = fmt::format("btime {}\n", time(nullptr));
  for (const auto& [name, text] :
       ProcFilesFor(spec.limits, {.cpuinfo = cpuinfo, .stat = stat, .fresh_uuid = FreshUuid()})) {
    const std::string file = std::to_string(scratch_count_++);
    base::WriteFd(base::OpenAt(scratch_.get(), file, O_WRONLY | O_CREAT | O_EXCL, 0444).get(), text,
                  name);
    AddFromScratch(file, Keep(fmt::format("{}/{}", target, name)), index).directory = false;
  }
}

UniqueFd Preparation::WritableOverlay(const std::string& store, const Layers& layers) {
  const std::vector<UniqueFd> lowers = OpenLayers(store, layers);
  const UniqueFd upper =
      base::OpenAt(scratch_.get(), NewScratchDirectory(0755), O_PATH | O_DIRECTORY);
  const UniqueFd work =
      base::OpenAt(scratch_.get(), NewScratchDirectory(0700), O_PATH | O_DIRECTORY);
  return MountOverlay({.lowers = Numbers(lowers), .upper = upper.get(), .work = work.get()});
}

void Preparation::UseEntries(const std::vector<std::string>* entries, const Layers& layers) {
  if (entries == nullptr) {
    unknown_ = layers;
    return;
  }
  for (const std::string& name : *entries) entries_.push_back(Keep(name));
  entries_.push_back(nullptr);
  record_.entries = entries_.data();
}

UniqueFd Preparation::SkeletonRoot(const SandboxSpec& spec, const Skeleton& skeleton) {
  UniqueFd root = NewFileSystem("tmpfs", {{"mode", "0755"}, {"size", "256k"}}, kOnly);
  // fsmount's descriptor is only a place; directories are made through one that can be read.
  const UniqueFd dir = base::OpenAt(root.get(), ".", O_RDONLY | O_DIRECTORY);
  for (const std::string& path : skeleton.directories) base::MakeDirs(dir.get(), path.substr(1));
  for (size_t i = 1; i < spec.mounts.mounts.size(); ++i) {
    const Mount& mount = spec.mounts.mounts[i];
    const auto* handed = std::get_if<HandedMount>(&mount.source);
    const bool file = handed != nullptr && handed->index < handed_.size() &&
                      !IsDirectory(handed_[handed->index].get());
    MakeTarget(dir.get(), mount.target.substr(1), file);
  }
  for (const auto& [path, target] : skeleton.links) {
    if (symlinkat(target.c_str(), dir.get(), path.substr(1).c_str()) < 0)
      ThrowErrno("creating link `{}`", path);
  }
  SetAttributes(root.get(), MOUNT_ATTR_RDONLY, 0);
  return root;
}

void Preparation::AddMount(MountCache& cache, const SandboxSpec& spec, uint32_t index) {
  const Mount& mount = spec.mounts.mounts[index];
  const char* target = mount.target == "/" ? "." : mount.target.c_str() + 1;
  if (const auto* layers = std::get_if<Layers>(&mount.source)) {
    const std::string store = cache.StoreFor(ids_, layers->idmapped);
    if (layers->writable && index == 0) UseEntries(cache.EntriesOf(store, *layers), *layers);
    AddAttached(
        layers->writable ? WritableOverlay(store, *layers) : cache.ReadOnlyOverlay(store, *layers),
        target, index)
        .writes = If(layers->writable);
  } else if (const auto* path = std::get_if<StorePath>(&mount.source)) {
    const std::string store = cache.StoreFor(ids_, path->idmapped);
    UniqueFd tree = CloneFromStore(store, path->path);
    SetAttributes(tree.get(), kOnly | (path->writable ? 0 : ReadOnly()), 0);
    const bool directory = IsDirectory(tree.get());
    PreparedMount& attached = AddAttached(std::move(tree), target, index);
    attached.directory = directory;
    attached.writes = If(path->writable);
  } else if (const auto* handed = std::get_if<HandedMount>(&mount.source)) {
    if (handed->index >= handed_.size() || !handed_[handed->index].valid()) {
      errno = EBADF;
      ThrowErrno("using a handed mount");
    }
    UniqueFd tree = std::move(handed_[handed->index]);
    SetAttributes(tree.get(), kOnly | (handed->writable ? 0 : ReadOnly()), 0);
    const bool directory = IsDirectory(tree.get());
    PreparedMount& attached = AddAttached(std::move(tree), target, index);
    attached.directory = directory;
    attached.writes = If(handed->writable);
  } else if (const auto* scratch = std::get_if<Scratch>(&mount.source)) {
    AddScratch(target, scratch->mode, index);
  } else if (const auto* skeleton = std::get_if<Skeleton>(&mount.source)) {
    AddAttached(SkeletonRoot(spec, *skeleton), target, index);
  } else if (const auto* proc = std::get_if<Proc>(&mount.source)) {
    const bool full = proc->view == ProcView::kFull;
    Add(PreparedMount::Kind::kProc, target, index).full = full;
    if (full) AddProcFiles(spec, target, index);
  } else {
    AddDevices(index);
  }
}

}  // namespace rundlet::runtime
