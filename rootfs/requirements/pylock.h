// Writing a lock as pylock.toml (PEP 751), for uv, pip and the next run.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "rootfs/requirements/lock.h"

namespace rundlet::rootfs {

// `python_tag` is the version it holds for ("3.11"); `inputs` tells later whether the requirements
// are still those. Of a wheel that was built it has the source. Throws base::Error (kInvalid) for a
// wheel that its user gave as a file: nobody else could find it.
std::string FormatPylock(const Lock& lock, const std::string& python_tag,
                         const base::Digest& inputs);

// What a pylock.toml says of itself; `document` is the answer of "parse-toml". Lenient: only what
// is there and of the right form.
struct PylockNotes {
  std::string inputs;                           // of FormatPylock; empty: another tool's
  std::map<std::string, std::string> versions;  // by name
};
PylockNotes ReadPylockNotes(std::string_view document);

}  // namespace rundlet::rootfs
