// The probes behind kernel_features.h. Each runs in a process of its own that ends afterwards, so
// it may leave mounts, filters and namespaces behind. Each returns what it found, in words, or
// throws base::Error.
#pragma once

#include <string>

#include "runtime/launcher/overlay.h"
#include "runtime/spec/controllers.h"

namespace rundlet::runtime {

// A directory of the state directory that the overlay probes may fill; removed by the caller.
struct ProbePlace {
  int state_dir;
  std::string name;
};

std::string ProbeDetachedMounts(const ProbePlace& place);
std::string ProbeUserNamespace();
std::string ProbeNamespaces();
std::string ProbeProc(const ProbePlace& place);
std::string ProbeOverlay(const ProbePlace& place, OverlayWay way);
std::string ProbeWritableLayer(const ProbePlace& place);
std::string ProbeShiftedLayer(const ProbePlace& place);
std::string ProbeManyLayers(const ProbePlace& place);
std::string ProbeFilter();
std::string ProbePidfd();
// Makes a control group and limits it.
std::string ProbeLimit(Controller controller);
std::string ProbeLandlock(const ProbePlace& place);
// Whether the ids of sandboxes are nobody's on this host.
std::string ProbeIds();
std::string ProbeNamespaceLimit();
std::string ProbeKernel();
// Reading past the page cache, from the state directory's disk.
std::string ProbeDirectReads(const ProbePlace& place);

}  // namespace rundlet::runtime
