#include "runtime/spec/sandbox_spec.h"

#include <algorithm>
#include <climits>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"

namespace rundlet::runtime {
namespace {

using base::Error;
using base::Fault;

constexpr size_t kMaxMounts = 256;
constexpr size_t kMaxLayers = 500;  // the kernel's limit for one overlay
constexpr size_t kMaxStrings = 4096;
constexpr size_t kMaxStringBytes = 131'072 - 1;        // MAX_ARG_STRLEN of the kernel, less the NUL
constexpr size_t kMaxArgumentBytes = size_t{6} << 20;  // arguments and environment, as execve
constexpr size_t kMaxHostname = 64;
constexpr uint64_t kMinScratch = 1 << 16;
constexpr uint64_t kMaxScratch = uint64_t{1} << 44;
constexpr uint64_t kMinMemory = uint64_t{4} << 20;  // setting a sandbox up takes about half of it
constexpr uint64_t kMaxMemory = uint64_t{1} << 62;
constexpr uint32_t kMinCpus = 10;         // the kernel's least quota
constexpr uint32_t kMaxCpus = 8'192'000;  // the kernel's most processors
constexpr uint32_t kMaxPids = 1 << 22;    // the kernel's most process ids

[[noreturn]] void Refuse(const std::string& object, const std::string& why) {
  throw Error(Fault::kInvalid, fmt::format("starting a sandbox with {}", base::Printable(object)))
      .Because(why);
}

void CheckText(const std::string& what, const std::string& text) {
  if (text.find('\0') != std::string::npos) Refuse(what, "it contains a NUL byte");
  if (text.size() > kMaxStringBytes) Refuse(what, "it is longer than the kernel takes");
}

// Absolute, without empty, "." and ".." components; "/" itself is allowed.
void CheckInsidePath(const std::string& what, const std::string& path) {
  CheckText(what, path);
  if (path == "/") return;
  if (!path.starts_with('/')) Refuse(what, "it is not an absolute path");
  if (!base::IsPlainRelative(std::string_view(path).substr(1))) {
    Refuse(what, "it has empty, `.` or `..` components, or is too long");
  }
}

// As CheckInsidePath, but for what is made in the root.
void CheckBelowRoot(const std::string& what, const std::string& path) {
  CheckInsidePath(what, path);
  if (path == "/") Refuse(what, "it is the root itself");
}

void CheckStorePath(const std::string& path) {
  if (!base::IsPlainRelative(path)) Refuse(fmt::format("store path `{}`", path), "it is not plain");
}

struct SourceChecker {
  void operator()(const Layers& layers) const {
    if (layers.paths.empty()) Refuse("an overlay", "it has no layers");
    if (layers.paths.size() > kMaxLayers) {
      Refuse(fmt::format("an overlay of {} layers", layers.paths.size()),
             fmt::format("the kernel takes {}", kMaxLayers));
    }
    for (const std::string& path : layers.paths) CheckStorePath(path);
  }
  void operator()(const StorePath& store) const { CheckStorePath(store.path); }
  void operator()(const HandedMount&) const {}
  void operator()(const Scratch& scratch) const {
    if ((scratch.mode & ~01777u) != 0) {
      Refuse(fmt::format("scratch space of mode {:o}", scratch.mode),
             "only permissions and the sticky bit may be set");
    }
  }
  void operator()(const Skeleton& skeleton) const {
    if (skeleton.directories.size() + skeleton.links.size() > kMaxStrings) {
      Refuse("a skeleton", fmt::format("it has over {} entries", kMaxStrings));
    }
    for (const std::string& directory : skeleton.directories) {
      CheckBelowRoot(fmt::format("directory `{}`", directory), directory);
    }
    for (const auto& [path, target] : skeleton.links) {
      CheckBelowRoot(fmt::format("link `{}`", path), path);
      CheckText(fmt::format("the target of link `{}`", path), target);
      if (target.empty()) Refuse(fmt::format("link `{}`", path), "it has no target");
    }
  }
  void operator()(const Proc&) const {}
  void operator()(const Devices&) const {}
};

void CheckMounts(const MountPlan& plan) {
  if (plan.mounts.empty() || plan.mounts.front().target != "/")
    Refuse("its mounts", "the first is not `/`");
  const MountSource& root = plan.mounts.front().source;
  if (!std::holds_alternative<Layers>(root) && !std::holds_alternative<Skeleton>(root)) {
    Refuse("its mounts", "`/` is neither image layers nor a skeleton");
  }
  if (plan.mounts.size() > kMaxMounts)
    Refuse("its mounts", fmt::format("there are over {}", kMaxMounts));
  for (size_t i = 0; i < plan.mounts.size(); ++i) {
    const Mount& mount = plan.mounts[i];
    CheckInsidePath(fmt::format("mount target `{}`", mount.target), mount.target);
    if (i > 0 && mount.target == "/")
      Refuse("a mount over `/`", "only the first mount may be the root");
    if (i > 0 && std::holds_alternative<Skeleton>(mount.source))
      Refuse(fmt::format("a skeleton at `{}`", mount.target), "it can only be the root");
    if (std::holds_alternative<Devices>(mount.source) && mount.target != "/dev")
      Refuse(fmt::format("devices at `{}`", mount.target), "programs expect them at `/dev`");
    std::visit(SourceChecker{}, mount.source);
  }
}

void CheckTerminal(const SandboxSpec& spec) {
  if (!spec.terminal.has_value()) return;
  const auto& mounts = spec.mounts.mounts;
  const bool with_devices = std::any_of(mounts.begin(), mounts.end(), [](const Mount& mount) {
    return std::holds_alternative<Devices>(mount.source);
  });
  if (!with_devices) Refuse("a terminal", "there are no devices at `/dev`, of which it is one");
}

void CheckIds(const SandboxSpec& spec) {
  const IdRange& ids = spec.ids;
  if (ids.base < 65'536 || ids.count == 0 || ids.count > 65'536 ||
      ids.base > UINT32_MAX - ids.count) {
    Refuse(fmt::format("the id range {}+{}", ids.base, ids.count),
           "it must hold 1 to 65536 ids, all above 65535");
  }
  if (spec.uid >= ids.count || spec.gid >= ids.count) {
    Refuse(fmt::format("user {}:{}", spec.uid, spec.gid), "it is outside the sandbox's id range");
  }
}

void CheckCommand(const SandboxSpec& spec) {
  if (spec.argv.empty() || spec.argv.front().empty())
    Refuse("no command", "there is nothing to run");
  if (spec.argv.size() + spec.environment.size() > kMaxStrings) {
    Refuse("its arguments", fmt::format("there are over {}", kMaxStrings));
  }
  size_t bytes = 0;
  for (const std::string& argument : spec.argv) {
    CheckText("an argument", argument);
    bytes += argument.size() + 1;
  }
  for (const auto& [name, value] : spec.environment) {
    const std::string what = fmt::format("environment variable `{}`", name);
    if (name.empty() || name.find('=') != std::string::npos)
      Refuse(what, "the name is empty or has a `=`");
    CheckText(what, name + "=" + value);
    bytes += name.size() + value.size() + 2;
  }
  if (bytes > kMaxArgumentBytes) {
    Refuse("its arguments", fmt::format("with its environment they are over {}",
                                        base::HumanBytes(kMaxArgumentBytes)));
  }
}

void CheckHostname(const std::string& hostname) {
  if (hostname.empty() || hostname.size() > kMaxHostname) {
    Refuse("its host name", fmt::format("it must have 1 to {} bytes", kMaxHostname));
  }
  for (const char byte : hostname) {
    const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_';
    if (!plain) {
      Refuse(fmt::format("host name `{}`", hostname),
             "it may have letters, digits, `-`, `.` and `_` only");
    }
  }
}

}  // namespace

void CheckLimits(const Limits& limits) {
  if (limits.memory.has_value() && (*limits.memory < kMinMemory || *limits.memory > kMaxMemory)) {
    Refuse(fmt::format("{} of memory", base::HumanBytes(*limits.memory)),
           fmt::format("it must be between {} and {}", base::HumanBytes(kMinMemory),
                       base::HumanBytes(kMaxMemory)));
  }
  if (limits.cpus.has_value() && (*limits.cpus < kMinCpus || *limits.cpus > kMaxCpus)) {
    Refuse(fmt::format("{:.3f} processors", *limits.cpus / 1000.0),
           fmt::format("it must be between {} and {}", kMinCpus / 1000.0, kMaxCpus / 1000));
  }
  if (limits.pids.has_value() && (*limits.pids == 0 || *limits.pids > kMaxPids)) {
    Refuse(fmt::format("{} processes", *limits.pids),
           fmt::format("it must be between 1 and {}", kMaxPids));
  }
}

CheckedSpec CheckSpec(SandboxSpec spec) {
  CheckMounts(spec.mounts);
  CheckTerminal(spec);
  CheckIds(spec);
  CheckCommand(spec);
  CheckInsidePath(fmt::format("working directory `{}`", spec.cwd), spec.cwd);
  CheckHostname(spec.hostname);
  CheckLimits(spec.limits);
  if (spec.scratch_bytes < kMinScratch || spec.scratch_bytes > kMaxScratch) {
    Refuse(fmt::format("{} of scratch space", base::HumanBytes(spec.scratch_bytes)),
           fmt::format("it must be between {} and {}", base::HumanBytes(kMinScratch),
                       base::HumanBytes(kMaxScratch)));
  }
  return CheckedSpec(std::move(spec));
}

}  // namespace rundlet::runtime
