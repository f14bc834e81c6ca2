// Files that two distributions of one environment both bring. Found when an environment is put
// together, from the package entries' RECORDs; never at run time.
#pragma once

#include <string>
#include <vector>

#include "rootfs/packages/package.h"

namespace rundlet::rootfs {

// One distribution of an environment and the files of its package entry.
struct DistributionFiles {
  std::string label;  // "opencv-python 4.10.0"
  std::string name;   // "opencv-python"
  std::vector<PackageFile> files;
};

struct Collision {
  std::string path;
  std::string winner;  // label of the distribution whose file is seen
  std::string loser;
};

struct CollisionRules {
  std::vector<std::string> preferred;  // names of distributions whose files may win over others'
};

// `distributions` are given topmost layer first. The same bytes twice are fine. Different bytes are
// fine, and returned (sorted by path) for a warning, where nobody imports them (top-level tests,
// licences, read-mes) or the winner is preferred. Throws base::Error (kInvalid) naming both
// distributions and the path for any other pair, also when one brings a file where another brings a
// directory.
std::vector<Collision> FindCollisions(const std::vector<DistributionFiles>& distributions,
                                      const CollisionRules& rules);

}  // namespace rundlet::rootfs
