// A project as its user has it on disk: gathered with the user's own rights, then only values.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/digest.h"

namespace rundlet::engine {

struct ProjectFile {
  std::string path;  // relative to the project, plain
  std::string content;
};

struct Project {
  std::string root;                // absolute
  std::string name;                // of its directory; for projects that do not name themselves
  std::vector<ProjectFile> files;  // .py and .sql, sorted by path
  std::string toml;                // rundlet.toml; empty: there is none
  std::map<std::string, std::string> locks;  // pylock.toml, pylock.NAME.toml beside it: name, text
};

// Walks the directory: Python and SQL files and rundlet.toml. Hidden directories, virtual
// environments, caches and links are left out. Throws base::Error (kInvalid) when there is nothing,
// or too much (2,000 files, 64 MiB).
Project GatherProject(const std::string& path);

// Over everything of the project that planning looks at.
base::Digest DigestOf(const Project& project);

// Writes the files beneath an empty directory, read-only, as steps see them at /work.
void WriteProject(const Project& project, int dir);

}  // namespace rundlet::engine
