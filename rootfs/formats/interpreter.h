// What rundlet knows of the Python interpreter inside an image: probed once, when the image is
// imported.
#pragma once

#include <string>

#include "base/digest.h"

namespace rundlet::rootfs {

// A plain value. It is the answer of a program that ran inside the image, so whoever builds one
// validates every field.
struct Interpreter {
  std::string
      executable;  // absolute path inside the image, links resolved: "/usr/local/bin/python3.11"
  std::string version;    // "3.11.2"
  std::string tag;        // "3.11": names lib/python3.11 and says which wheels fit
  std::string abi;        // "cp311"
  std::string libc;       // "glibc 2.36", "musl 1.2"
  std::string prefix;     // sys.base_prefix: "/usr/local"
  std::string stdlib;     // absolute path of the standard library's directory
  base::Digest identity;  // InterpreterIdentity: keys whatever it takes part in and is kept

  bool operator==(const Interpreter&) const = default;
};

}  // namespace rundlet::rootfs
