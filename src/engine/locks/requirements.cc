#include "engine/locks/requirements.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/url.h"
#include "engine/core/toml.h"
#include "rootfs/net/fetch.h"
#include "rootfs/requirements/project_documents.h"
#include "rootfs/requirements/requirements_text.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

constexpr size_t kFileLimit = 16 << 20;
constexpr size_t kIncludeDepth = 8;

std::string Beside(const std::string& directory, const std::string& path) {
  return path.starts_with('/') ? path : directory + "/" + path;
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

class RequirementsGatherer {
 public:
  RequirementsGatherer(Engine& engine, const base::CancelToken* cancel)
      : engine_(engine), cancel_(cancel) {}

  Requirements Gather(const RequirementSources& sources) {
    for (const std::string& text : sources.texts) {
      const std::optional<std::string> file = FileOfRequirement(text);
      if (!file.has_value()) {
        Add(sources.directory, text);
        continue;
      }
      try {
        AddFile(Beside(sources.directory, *file));
      } catch (Error& error) {
        if (error.fault() == Fault::kInvalid)
          error.While(fmt::format("reading requirements from `{}`", base::Printable(*file)));
        throw;
      }
    }
    if (gathered_.set.closed && gathered_.set.requirements.size() != locked_) {
      throw Error(Fault::kInvalid, "using a lock")
          .Because("other requirements are given beside it")
          .Hint("lock them together, or leave the lock out");
    }
    for (const rootfs::Requirement& constraint : gathered_.set.constraints) {
      if (constraint.IsSource())
        throw Error(Fault::kInvalid, fmt::format("using constraint `{}`", constraint.name))
            .Because("it names a source, and a bound is no place for one");
    }
    gathered_.set.preferred = sources.preferred;
    gathered_.set.indexes = rootfs::CheckIndexes(sources.indexes);
    gathered_.set.built = rootfs::CheckBuilt(sources.built);
    CheckSources(gathered_.set);
    CheckSchemes(gathered_.set.indexes);
    if (!sources.uploaded_before.empty())
      gathered_.set.uploaded_before = rootfs::ParseMoment(sources.uploaded_before);
    return std::move(gathered_);
  }

 private:
  // Plain http reaches what has no certificate: a service inside, which a project may not choose.
  void CheckSchemes(const std::vector<rootfs::PinnedIndex>& indexes) const {
    const std::vector<std::string> hosts = base::Split(engine_.config().private_hosts, ',');
    for (const rootfs::PinnedIndex& index : indexes) {
      const std::string host = base::UrlHost(index.url);
      const bool allowed = index.url.starts_with("https://") ||
                           std::any_of(hosts.begin(), hosts.end(), [&](const std::string& one) {
                             return base::Trim(one) == host;
                           });
      if (allowed) continue;
      throw Error(Fault::kInvalid, fmt::format("using package index `{}`", index.name))
          .Because(fmt::format("`{}` is to be reached by plain http", host))
          .Hint("use https, or have the host listed in RUNDLET_PRIVATE_HOSTS");
    }
  }

  // To name a source is not yet to allow that its code is run.
  static void CheckSources(const rootfs::RequirementSet& set) {
    for (const rootfs::Requirement& requirement : set.requirements) {
      if (!requirement.IsSource() ||
          std::binary_search(set.built.begin(), set.built.end(), requirement.name)) {
        continue;
      }
      throw Error(Fault::kInvalid, fmt::format("using requirement `{}`", requirement.Text()))
          .Because("a wheel of it must be built first, and nobody allowed that")
          .Hint(fmt::format("allow it with `--build {0}`, or `build = [\"{0}\"]` below [python]",
                            requirement.name));
    }
  }

  void Add(const std::string& directory, const std::string& text) {
    rootfs::Requirement requirement = rootfs::ParseRequirement(text);
    Open(directory, requirement);
    gathered_.set.requirements.push_back(std::move(requirement));
  }

  void Open(const std::string& directory, rootfs::Requirement& requirement) {
    if (requirement.path.empty()) return;
    requirement.path = Beside(directory, requirement.path);
    gathered_.wheels.push_back({requirement.path, base::OpenHostPath(requirement.path, O_RDONLY)});
  }

  void AddFile(const std::string& path) {
    const size_t colon = path.rfind(':');
    const bool with_group =
        colon != std::string::npos && path.find('/', colon) == std::string::npos;
    const std::string file = with_group ? path.substr(0, colon) : path;
    if (IsPylock(file)) {
      Merge(rootfs::ReadPylock(ReadToml(file)));
    } else if (file.ends_with(".toml")) {
      const std::string group = with_group ? path.substr(colon + 1) : "";
      for (const std::string& text : rootfs::ReadDependencies(ReadToml(file), group))
        Add(DirectoryOf(file), text);
    } else {
      AddText(path, 0);
    }
  }

  // A lock is all there is: what is beside it could not come from it.
  void Merge(rootfs::RequirementSet lock) {
    locked_ = lock.requirements.size();
    lock.requirements.insert(lock.requirements.end(), gathered_.set.requirements.begin(),
                             gathered_.set.requirements.end());
    gathered_.set = std::move(lock);
  }

  void AddText(const std::string& path, size_t depth) {
    if (depth == kIncludeDepth)
      throw Error(Fault::kInvalid, "following -r").Because("the files include each other");
    const rootfs::RequirementsText text = rootfs::ParseRequirementsText(ReadFile(path));
    const std::string directory = DirectoryOf(path);
    for (const std::string& requirement : text.requirements) Add(directory, requirement);
    gathered_.set.hashes.insert(gathered_.set.hashes.end(), text.hashes.begin(), text.hashes.end());
    for (const std::string& file : text.includes) AddText(Beside(directory, file), depth + 1);
    for (const std::string& file : text.constraints) AddConstraints(Beside(directory, file));
  }

  void AddConstraints(const std::string& path) {
    const rootfs::RequirementsText text = rootfs::ParseRequirementsText(ReadFile(path));
    for (const std::string& constraint : text.requirements) {
      rootfs::Requirement requirement = rootfs::ParseRequirement(constraint);
      Open(DirectoryOf(path), requirement);
      gathered_.set.constraints.push_back(std::move(requirement));
    }
  }

  static std::string ReadFile(const std::string& path) {
    const base::UniqueFd file = base::OpenHostPath(path, O_RDONLY);
    return base::ReadFd(file.get(), kFileLimit, fmt::format("`{}`", path));
  }

  std::string ReadToml(const std::string& path) {
    return ParseToml(engine_, ReadFile(path), cancel_);
  }

  Engine& engine_;
  const base::CancelToken* cancel_;
  Requirements gathered_;
  size_t locked_ = 0;  // requirements that came from a lock
};

}  // namespace

bool IsPylock(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return name.starts_with("pylock.") && name.ends_with(".toml");
}

std::optional<std::string> FileOfRequirement(std::string_view text) {
  constexpr std::string_view kOption = "-r ";
  if (!text.starts_with(kOption)) return std::nullopt;
  return std::string(base::Trim(text.substr(kOption.size())));
}

Requirements GatherRequirements(Engine& engine, const RequirementSources& sources,
                                const base::CancelToken* cancel) {
  return RequirementsGatherer(engine, cancel).Gather(sources);
}

}  // namespace rundlet::engine
