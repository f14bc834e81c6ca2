// The requirements in documents that other tools read too: pylock.toml (PEP 751), pyproject.toml
// with its dependency groups (PEP 735), and the metadata of a script (PEP 723).
//
// `document` is the answer of the worker's "parse-toml" everywhere: untrusted, checked field by
// field. All functions throw base::Error (kInvalid).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rootfs/requirements/requirement_set.h"

namespace rundlet::rootfs {

// The TOML inside a script's `# /// script` block; nullopt when it has none. Throws for a block
// that is not closed, and for two.
std::optional<std::string> FindScriptMetadata(std::string_view script);

struct ScriptMetadata {
  std::vector<std::string> dependencies;
  std::string requires_python;  // a version specifier; empty: any
};
ScriptMetadata ReadScriptMetadata(std::string_view document);

// The requirements of a dependency group, those it includes among them; of [project.dependencies]
// when `group` is empty.
std::vector<std::string> ReadDependencies(std::string_view document, const std::string& group);

// A lock's packages, each at its version and held to its hashes; nothing else comes along.
RequirementSet ReadPylock(std::string_view document);

// Whether a Python version ("3.11.2") is in a specifier (">=3.10,<3.13"): what requires-python
// needs of PEP 440, releases only.
bool PythonIsWithin(std::string_view version, std::string_view specifier);

}  // namespace rundlet::rootfs
