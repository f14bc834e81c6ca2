// What a user asks for, from whatever they wrote it in: options, files, a script. Opened with the
// user's own rights, then only values and descriptors.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/fd.h"
#include "engine/core/engine.h"
#include "rootfs/requirements/requirement_set.h"

namespace rundlet::engine {

struct RequirementSources {
  // Each PEP 508, the path of a wheel, or "-r FILE": a requirements.txt, pylock.toml, or
  // pyproject.toml[:GROUP].
  std::vector<std::string> texts;
  std::vector<std::string> preferred;  // RequirementSet::preferred
  std::string directory = ".";         // what relative paths start from
  // RequirementSet::indexes and uploaded_before, as their user wrote them.
  std::vector<rootfs::PinnedIndex> indexes = {};
  std::string uploaded_before = {};
  std::vector<std::string> built = {};  // RequirementSet::built
};

// FILE of "-r FILE"; nullopt for another text.
std::optional<std::string> FileOfRequirement(std::string_view text);
// Whether a file is a lock by its name: "pylock.toml", "pylock.NAME.toml".
bool IsPylock(std::string_view path);

// A wheel that a requirement names by its path, open.
struct GivenWheel {
  std::string path;
  base::UniqueFd file;
};

struct Requirements {
  rootfs::RequirementSet set;
  std::vector<GivenWheel> wheels;
};

// Reads the files (TOML in a worker). Throws base::Error (kInvalid) naming the file, Cancelled.
Requirements GatherRequirements(Engine& engine, const RequirementSources& sources,
                                const base::CancelToken* cancel);

}  // namespace rundlet::engine
