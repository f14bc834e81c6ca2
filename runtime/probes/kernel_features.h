// What this host offers to sandboxes, found out by trying. (Not features.h: the C library has one.)
//
// Every probe performs the whole operation that a sandbox needs, in a process of its own, and never
// compares versions: kernels carry back-ported features, and refuse at a late step what they accept
// at an early one. The result is for people (`rundlet doctor`) and tests; nothing else decides by
// it.
#pragma once

#include <string>
#include <vector>

namespace rundlet::runtime {

struct Feature {
  std::string name;
  bool available = false;
  std::string detail;     // what was found, or why it is not there
  std::string otherwise;  // what is used, or missing, without it
  bool required = false;  // no sandbox starts without it
};

// In the order in which people should read them. `state_dir` is a descriptor of the state directory
// (borrowed): what overlays can do depends on its file system; a directory for the probes is made
// in it and removed. Forks, so the caller should have no other threads. Throws base::Error only
// when it cannot probe at all (the directory cannot be made, no process can be forked).
std::vector<Feature> ProbeFeatures(int state_dir);

}  // namespace rundlet::runtime
