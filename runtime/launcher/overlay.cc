#include "runtime/launcher/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>

#include "base/error.h"
#include "runtime/child/defences.h"
#include "runtime/launcher/mounting.h"

namespace rundlet::runtime {
namespace {

using base::ThrowErrno;
using base::UniqueFd;

constexpr size_t kOptionLimit = 4095;  // mount(2) takes a page and silently cuts what is longer

// Only what the trees say: no redirects or metadata-only copies that an image could have forged, no
// index to write. ("redirect_dir=off" still follows them on kernels built with ..._ALWAYS_FOLLOW.)
constexpr const char* kFixed[][2] = {
    {"redirect_dir", "nofollow"}, {"metacopy", "off"}, {"index", "off"}, {"xino", "off"}};

UniqueFd ByDescriptor(const OverlayParts& parts) {
  const UniqueFd context(fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context.valid()) ThrowErrno("opening overlay");
  const auto give = [&context](const char* key, int fd) {
    if (fsconfig(context.get(), FSCONFIG_SET_FD, key, nullptr, fd) < 0)
      ThrowErrno("giving an overlay its {}", key);
  };
  for (const int lower : parts.lowers) give("lowerdir+", lower);
  if (parts.upper >= 0) {
    give("upperdir", parts.upper);
    give("workdir", parts.work);
  }
  for (const auto& [key, value] : kFixed) {
    if (fsconfig(context.get(), FSCONFIG_SET_STRING, key, value, 0) < 0)
      ThrowErrno("setting an overlay's {}", key);
  }
  // The upper is memory that dies with the sandbox: nothing to sync.
  if (parts.upper >= 0 && fsconfig(context.get(), FSCONFIG_SET_FLAG, "volatile", nullptr, 0) < 0) {
    ThrowErrno("setting an overlay volatile");
  }
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
    ThrowErrno("creating an overlay");
  const unsigned nosuid = Stands(Defence::kNoSuid) ? MOUNT_ATTR_NOSUID : 0;
  UniqueFd mount(fsmount(context.get(), FSMOUNT_CLOEXEC, nosuid | MOUNT_ATTR_NODEV));
  if (!mount.valid()) ThrowErrno("mounting an overlay");
  return mount;
}

UniqueFd ByName(const OverlayParts& parts) {
  std::string options = "lowerdir=";
  for (size_t i = 0; i < parts.lowers.size(); ++i) {
    options += (i == 0 ? "" : ":") + std::to_string(parts.lowers[i]);
  }
  for (const auto& [key, value] : kFixed) options += fmt::format(",{}={}", key, value);
  if (parts.upper >= 0)
    options += fmt::format(",upperdir={},workdir={},volatile", parts.upper, parts.work);
  if (options.size() > kOptionLimit) {
    throw base::Error(base::Fault::kHost, "mounting an overlay")
        .Because("its options do not fit a page");
  }
  if (chdir("/proc/self/fd") < 0) ThrowErrno("entering /proc/self/fd");
  const int mounted = mount("overlay", "/root", "overlay", MS_NOSUID | MS_NODEV, options.c_str());
  const int error_number = errno;
  if (chdir("/") < 0) ThrowErrno("leaving /proc/self/fd");
  if (mounted < 0) throw base::ErrnoError(error_number, "mounting an overlay");
  UniqueFd clone = CloneTree(AT_FDCWD, "/root");
  if (umount2("/root", MNT_DETACH) < 0) ThrowErrno("detaching an overlay");
  return clone;
}

}  // namespace

UniqueFd MountOverlay(OverlayWay way, const OverlayParts& parts) {
  switch (way) {
    case OverlayWay::kByDescriptor:
      return ByDescriptor(parts);
    case OverlayWay::kByName:
      return ByName(parts);
  }
  RUNDLET_CHECK(false);
  return {};
}

UniqueFd MountOverlay(const OverlayParts& parts) {
  static std::optional<OverlayWay> working;
  if (working.has_value()) return MountOverlay(*working, parts);
  try {
    UniqueFd mount = MountOverlay(OverlayWay::kByDescriptor, parts);
    working = OverlayWay::kByDescriptor;
    return mount;
  } catch (const base::Error&) {
    UniqueFd mount = MountOverlay(OverlayWay::kByName, parts);
    working = OverlayWay::kByName;
    return mount;
  }
}

}  // namespace rundlet::runtime
