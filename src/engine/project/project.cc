#include "engine/project/project.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "engine/locks/requirements.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

constexpr size_t kMaxFiles = 2000;
constexpr size_t kMaxFileBytes = 4 << 20;
constexpr size_t kMaxBytes = 64 << 20;
constexpr size_t kMaxDepth = 32;

class Gatherer {
 public:
  explicit Gatherer(Project& project) : project_(project) {}

  void Walk(int dir, const std::string& prefix, size_t depth) {
    if (depth > kMaxDepth || (!prefix.empty() && base::ExistsAt(dir, "pyvenv.cfg"))) return;
    for (const base::DirEntry& entry : base::ListDir(dir)) {
      const std::string path = prefix + entry.name;
      if (entry.type == DT_DIR && !IsSkipped(entry.name)) {
        const base::UniqueFd child = base::OpenAt(dir, entry.name, O_RDONLY | O_DIRECTORY);
        Walk(child.get(), path + "/", depth + 1);
      } else if (entry.type == DT_REG && (path.ends_with(".py") || path.ends_with(".sql"))) {
        Add(path, base::ReadAt(dir, entry.name, kMaxFileBytes));
      }
    }
  }

 private:
  static bool IsSkipped(const std::string& name) {
    return name.starts_with('.') || name == "__pycache__" || name == "node_modules";
  }

  void Add(const std::string& path, std::string content) {
    bytes_ += content.size();
    if (project_.files.size() == kMaxFiles || bytes_ > kMaxBytes) {
      throw Error(Fault::kInvalid, fmt::format("reading project `{}`", project_.root))
          .Because(fmt::format("it has more than {} Python and SQL files, or more than {} of them",
                               kMaxFiles, base::HumanBytes(kMaxBytes)))
          .Hint("name the directory of the pipeline itself");
    }
    project_.files.push_back({path, std::move(content)});
  }

  Project& project_;
  size_t bytes_ = 0;
};

}  // namespace

Project GatherProject(const std::string& path) {
  Project project;
  char absolute[PATH_MAX];
  if (realpath(path.c_str(), absolute) == nullptr)
    throw base::NamedPathError(errno, fmt::format("reading project `{}`", path));
  project.root = absolute;
  project.name = project.root.substr(project.root.rfind('/') + 1);
  const base::UniqueFd dir = base::OpenHostPath(project.root, O_RDONLY | O_DIRECTORY);
  Gatherer(project).Walk(dir.get(), "", 0);
  if (const auto toml = base::TryOpenAt(dir.get(), "rundlet.toml", O_RDONLY)) {
    project.toml = base::ReadFd(toml->get(), kMaxFileBytes, "`rundlet.toml`");
  }
  for (const base::DirEntry& entry : base::ListDir(dir.get())) {
    if (entry.type == DT_REG && IsPylock(entry.name))
      project.locks.emplace(entry.name, base::ReadAt(dir.get(), entry.name, kMaxBytes));
  }
  if (project.files.empty()) {
    throw Error(Fault::kInvalid, fmt::format("reading project `{}`", project.root))
        .Because("it has no Python or SQL files");
  }
  return project;
}

base::Digest DigestOf(const Project& project) {
  base::Sha256 hash;
  hash.AddField(project.toml);
  for (const ProjectFile& file : project.files) {
    hash.AddField(file.path);
    hash.AddField(file.content);
  }
  return hash.Finish();
}

void WriteProject(const Project& project, int dir) {
  for (const ProjectFile& file : project.files) {
    const size_t slash = file.path.rfind('/');
    if (slash != std::string::npos) base::MakeDirs(dir, file.path.substr(0, slash));
    const base::UniqueFd fd = base::OpenAt(dir, file.path, O_WRONLY | O_CREAT | O_EXCL, 0444);
    base::WriteFd(fd.get(), file.content, fmt::format("`{}`", file.path));
  }
}

}  // namespace rundlet::engine
