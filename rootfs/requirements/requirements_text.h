// A requirements.txt, in the format of pip, taken apart. What a requirement means is not decided
// here, and no file is opened.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace rundlet::rootfs {

struct RequirementsText {
  std::vector<std::string> requirements;  // one each, without options
  std::vector<base::Digest> hashes;       // of --hash=sha256:...; not empty: every one has some
  std::vector<std::string> includes;      // -r FILE
  std::vector<std::string> constraints;   // -c FILE
  bool operator==(const RequirementsText&) const = default;
};

// Comments, continued lines, -r, -c, --hash and the options that change nothing here
// (--require-hashes, --only-binary, --prefer-binary). Throws base::Error (kInvalid)
// naming the line for every other option: a project does not choose indexes; editable projects are
// no packages; and for a hash that is no SHA-256 or that some requirements lack.
RequirementsText ParseRequirementsText(std::string_view text);

}  // namespace rundlet::rootfs
