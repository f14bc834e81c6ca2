// hash-tree: one digest over an interpreter: its binary, its libpython and its standard library.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/digest.h"

namespace rundlet::rootfs::worker {

struct InterpreterFiles {
  std::string executable;                // absolute inside the image
  std::optional<std::string> libpython;  // of interpreters that are linked against it
  std::string stdlib;                    // a directory
};

// Everything is resolved inside `root` (links of the image as its own programs would see them). The
// digest covers, sorted, the path, type, executable bit and content of each entry; __pycache__ is
// left out, and so are the standard library's site-packages and dist-packages, which steps never
// see. Throws base::Error (kInvalid) when something is absent.
base::Digest HashInterpreter(int root, const InterpreterFiles& files);

// The command: {"executable", "libpython" (null when there is none), "stdlib"} of the image at
// `root` -> {"identity"}.
nlohmann::json HashTreeIn(int root, const nlohmann::json& request);

}  // namespace rundlet::rootfs::worker
