// A requirement as users write it (PEP 508), checked before any tool sees it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rundlet::rootfs {

// Equal requirements in different spellings give equal values.
struct Requirement {
  std::string name;                 // normalised (PEP 503)
  std::vector<std::string> extras;  // normalised, sorted, each once
  std::string specifier;            // ">=1.0,<2", clauses sorted, no blanks; may be empty
  std::string marker;               // "python_version < '3.12'"; may be empty

  // One line of a requirements file.
  std::string Text() const;
  auto operator<=>(const Requirement&) const = default;
};

// Throws base::Error (kInvalid) for what is no `name[extras]specifier; marker`: options ("-e .",
// "--index-url=..."), control characters, and, for now, direct references ("pkg @ https://...") and
// paths.
Requirement ParseRequirement(std::string_view text);

}  // namespace rundlet::rootfs
