#include "runtime/probes/kernel_features.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <functional>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "runtime/probes/feature_probes.h"

namespace rundlet::runtime {
namespace {

using base::UniqueFd;

constexpr size_t kDetailLimit = 4096;

// Removes its directory of the state directory again.
class Place {
 public:
  explicit Place(int state_dir) : place_{state_dir, fmt::format("probe-{}", getpid())} {
    base::MakeDirs(state_dir, place_.name);
  }
  ~Place() {
    try {
      base::RemoveTree(place_.state_dir, place_.name);
    } catch (const base::Error&) {
      // Left behind: a directory with empty files.
    }
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  const ProbePlace& get() const { return place_; }

 private:
  ProbePlace place_;
};

std::string Causes(const base::Error& error) { return base::Join(error.chain(), ": "); }

[[noreturn]] void RunProbe(const std::function<std::string()>& probe, int report) {
  int code = 1;
  try {
    std::string text;
    try {
      text = probe();
      code = 0;
    } catch (const base::Error& error) {
      text = Causes(error);
    }
    base::WriteFd(report, text, "a probe's report");
  } catch (const std::exception&) {
    code = 2;  // not even a report
  }
  _exit(code);
}

// Fills in `available` and `detail`.
Feature Probed(Feature feature, const std::function<std::string()>& probe) {
  const UniqueFd report = base::MemoryFile("rundlet-probe", "");
  const pid_t pid = fork();
  if (pid < 0) base::ThrowErrno("starting a process for a probe");
  if (pid == 0) RunProbe(probe, report.get());
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) base::ThrowErrno("waiting for a probe");
  }
  if (lseek(report.get(), 0, SEEK_SET) < 0) base::ThrowErrno("reading a probe's report");
  feature.available = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  feature.detail = base::ReadFd(report.get(), kDetailLimit, "a probe's report");
  if (WIFSIGNALED(status))
    feature.detail = fmt::format("the probe died of signal {}", WTERMSIG(status));
  return feature;
}

Feature Required(const char* name, const char* otherwise) {
  return {.name = name, .available = false, .detail = "", .otherwise = otherwise, .required = true};
}

Feature Optional(const char* name, const char* otherwise) {
  return {
      .name = name, .available = false, .detail = "", .otherwise = otherwise, .required = false};
}

std::vector<Feature> ProbeOverlays(const ProbePlace& place) {
  std::vector<Feature> found;
  found.push_back(Probed(Optional("overlay by descriptor", "overlays are mounted by name"),
                         [&] { return ProbeOverlay(place, OverlayWay::kByDescriptor); }));
  found.push_back(Probed(Optional("overlay by name", "overlays are mounted by descriptor only"),
                         [&] { return ProbeOverlay(place, OverlayWay::kByName); }));
  // One of the two must do.
  found.back().required = !found.front().available;
  if (found.back().required) found.back().otherwise = "images and packages cannot be stacked";
  found.push_back(Probed(Required("writable layer in memory", "a sandbox has no writable root"),
                         [&] { return ProbeWritableLayer(place); }));
  found.push_back(Probed(Required("layers with shifted owners", "image files belong to nobody"),
                         [&] { return ProbeShiftedLayer(place); }));
  found.push_back(Probed(Optional("500 layers", "environments of that size cannot be composed"),
                         [&] { return ProbeManyLayers(place); }));
  return found;
}

}  // namespace

std::vector<Feature> ProbeFeatures(int state_dir) {
  const Place place(state_dir);
  std::vector<Feature> found;
  found.push_back(Probed(Optional("kernel", ""), ProbeKernel));
  found.push_back(Probed(Required("detached mounts", "nothing can be mounted into a sandbox"),
                         [&] { return ProbeDetachedMounts(place.get()); }));
  found.push_back(
      Probed(Required("user namespaces", "steps would be root of the host"), ProbeUserNamespace));
  found.push_back(
      Probed(Optional("ids of sandboxes", "a sandbox could reach what these ids own"), ProbeIds));
  found.push_back(Probed(Required("number of user namespaces", "no user namespace can be made"),
                         ProbeNamespaceLimit));
  found.push_back(
      Probed(Required("all namespaces at once", "a sandbox cannot be isolated"), ProbeNamespaces));
  found.push_back(Probed(Required("procfs of a sandbox", "programs find no /proc"),
                         [&] { return ProbeProc(place.get()); }));
  for (Feature& feature : ProbeOverlays(place.get())) found.push_back(std::move(feature));
  found.push_back(
      Probed(Required("system-call filter", "a sandbox reaches the whole kernel"), ProbeFilter));
  found.push_back(
      Probed(Required("pidfd", "processes cannot be waited for without races"), ProbePidfd));
  found.push_back(Probed(
      Optional("memory limits", "`memory` is refused, a peak is that of the largest process"),
      [] { return ProbeLimit(Controller::kMemory); }));
  found.push_back(
      Probed(Optional("process limits", "`pids` is refused; RLIMIT_NPROC holds the default"),
             [] { return ProbeLimit(Controller::kPids); }));
  found.push_back(Probed(Optional("cpu limits", "`cpus` is refused"),
                         [] { return ProbeLimit(Controller::kCpu); }));
  found.push_back(Probed(Optional("Landlock", "no second wall behind read-only mounts"),
                         [&] { return ProbeLandlock(place.get()); }));
  found.push_back(Probed(Optional("reading past the page cache",
                                  "`package verify --disk` cannot compare memory with the disk"),
                         [&] { return ProbeDirectReads(place.get()); }));
  return found;
}

}  // namespace rundlet::runtime
