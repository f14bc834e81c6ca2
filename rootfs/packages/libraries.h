// Shared libraries: what the packages of an environment ask the loader for, and what an image has.
#pragma once

#include <string>
#include <vector>

#include "base/cancel.h"
#include "rootfs/images/image.h"
#include "rootfs/packages/package.h"
#include "rootfs/worker_client.h"

namespace rundlet::rootfs {

// File names of the shared libraries in the folders that the image's loader searches; sorted. A
// worker looks at the image's layers. Throws base::Error, Cancelled.
std::vector<std::string> ListLibraries(WorkerClient& workers, const Image& image,
                                       const base::CancelToken* cancel);

struct MissingLibrary {
  std::string soname;  // "libGL.so.1"
  std::string label;   // of the package: "opencv-python 4.10.0"
  std::string path;    // of the first of its files that asks for it, below the prefix
  bool operator==(const MissingLibrary&) const = default;
};

// What neither the image nor a package of the environment has, by any of its file names: where a
// library is looked for (RPATH) is not followed, so what is named here is missing for certain. What
// comes with a device's driver is left out, and what is in the C library itself: `libc` is that of
// the image's interpreter. Each soname once a package.
std::vector<MissingLibrary> FindMissingLibraries(const std::vector<PackageMeta>& packages,
                                                 const std::vector<std::string>& image_libraries,
                                                 const std::string& libc);

}  // namespace rundlet::rootfs
