// A requirement as users write it (PEP 508), checked before any tool sees it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace rundlet::rootfs {

// Equal requirements in different spellings give equal values.
struct Requirement {
  std::string name;                 // normalised (PEP 503)
  std::vector<std::string> extras;  // normalised, sorted, each once
  std::string specifier;            // ">=1.0,<2", clauses sorted, no blanks; may be empty
  std::string marker;               // "python_version < '3.12'"; may be empty
  // A wheel that is named itself, not looked for in the index: by one of these.
  std::string url = {};                     // http or https, without its fragment
  std::string path = {};                    // of the client's host, as they wrote it
  std::optional<base::Digest> sha256 = {};  // of that wheel: stated, or known since it was opened

  // One line of a requirements file; a wheel by path is named by its content.
  std::string Text() const;
  auto operator<=>(const Requirement&) const = default;
};

// `name[extras]specifier; marker`, `name[extras] @ URL; marker` with the URL of a wheel (http,
// https, file), or the path of a wheel. Throws base::Error (kInvalid) for anything else: options
// ("--index-url=..."), editable projects, version control, source archives, control characters.
Requirement ParseRequirement(std::string_view text);

}  // namespace rundlet::rootfs
