// What to run in a sandbox, as a value: what the pure halves of prober, compiler, resolver and
// builder say to their programs. engine/sandbox/image_program runs it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/spec/mount_plan.h"

namespace rundlet::rootfs {

struct ProgramCommand {
  std::vector<std::string> argv;
  std::string input = {};                   // standard input
  std::vector<runtime::Mount> mounts = {};  // beyond the root's own
  // Complete; empty: the image's own variables.
  std::vector<std::pair<std::string, std::string>> environment = {};
  std::string cwd = "/";
};

}  // namespace rundlet::rootfs
