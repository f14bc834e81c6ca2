#include "runtime/sandbox_spec.h"

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
constexpr size_t kMaxStringBytes = 131'072 - 1;  // MAX_ARG_STRLEN of the kernel, less the NUL
constexpr uint64_t kMinScratch = 1 << 16;
constexpr uint64_t kMaxScratch = uint64_t{1} << 44;

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
  void operator()(const Scratch&) const {}
  void operator()(const Skeleton& skeleton) const {
    for (const std::string& directory : skeleton.directories)
      CheckInsidePath("a directory", directory);
    for (const auto& [path, target] : skeleton.links) {
      CheckInsidePath("a link", path);
      CheckText("a link's target", target);
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
    std::visit(SourceChecker{}, mount.source);
  }
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

}  // namespace

CheckedSpec CheckSpec(SandboxSpec spec) {
  CheckMounts(spec.mounts);
  CheckIds(spec);
  if (spec.argv.empty() || spec.argv.front().empty())
    Refuse("no command", "there is nothing to run");
  if (spec.argv.size() + spec.environment.size() > kMaxStrings) {
    Refuse("its arguments", fmt::format("there are over {}", kMaxStrings));
  }
  for (const std::string& argument : spec.argv) CheckText("an argument", argument);
  for (const auto& [name, value] : spec.environment) {
    if (name.empty() || name.find('=') != std::string::npos) {
      Refuse(fmt::format("environment variable `{}`", name), "the name is empty or has a `=`");
    }
    CheckText(fmt::format("environment variable `{}`", name), name + value);
  }
  CheckInsidePath(fmt::format("working directory `{}`", spec.cwd), spec.cwd);
  if (spec.hostname.empty() || spec.hostname.size() > 64)
    Refuse("its host name", "it must have 1 to 64 bytes");
  CheckText("its host name", spec.hostname);
  if (spec.scratch_bytes < kMinScratch || spec.scratch_bytes > kMaxScratch) {
    Refuse(fmt::format("{} of scratch space", base::HumanBytes(spec.scratch_bytes)),
           fmt::format("it must be between {} and {}", base::HumanBytes(kMinScratch),
                       base::HumanBytes(kMaxScratch)));
  }
  return CheckedSpec(std::move(spec));
}

}  // namespace rundlet::runtime
