// Where the parts of this rundlet are: beside the running program, installed or in a build tree.
#pragma once

#include <string>

namespace rundlet::engine {

struct Installation {
  std::string launcher;  // path of rundlet-launcher
  std::string worker;    // path of rundlet-worker
  std::string fetcher;   // path of rundlet-fetcher
  std::string python;    // directory that holds rundlet, rundlet_reader, rundlet_runner and engine/
};

// Throws base::Error (kHost) when a part is missing.
Installation FindInstallation();

}  // namespace rundlet::engine
