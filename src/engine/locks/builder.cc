#include "engine/locks/builder.h"

#include <fcntl.h>
#include <sys/utsname.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/url.h"
#include "engine/core/kept_document.h"
#include "engine/core/network.h"
#include "engine/core/toml.h"
#include "engine/locks/git_tree.h"
#include "engine/locks/resolver.h"
#include "engine/packages/environments.h"
#include "engine/sandbox/image_program.h"
#include "engine/sandbox/wanted_limits.h"
#include "rootfs/requirements/builder_protocol.h"
#include "rootfs/requirements/source_archive.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

constexpr uint64_t kBuildMemory = uint64_t{2} << 30;

// An archive, and the file in a staging directory.
struct FetchedSource {
  rootfs::SourceArchive archive;
  store::Staging files;
};

// "==1.2", and no other bound.
std::string PinnedVersion(const rootfs::Requirement& requirement) {
  const std::string& text = requirement.specifier;
  if (text.starts_with("==") && !text.starts_with("===") &&
      text.find_first_of(",*") == std::string::npos) {
    return text.substr(2);
  }
  throw Error(Fault::kInvalid, fmt::format("building `{}`", requirement.name))
      .Because("its version is not pinned")
      .Hint(fmt::format("require `{}==VERSION`", requirement.name));
}

// What a lock or a requirements file says of hashes holds for the archive of a built package. A
// full commit is its own.
void CheckHash(const rootfs::SourceArchive& archive, const rootfs::Requirement& requirement,
               const std::vector<base::Digest>& hashes) {
  const base::Digest& sha256 = archive.source.sha256;
  const auto git = rootfs::ParseGitUrl(requirement.url);
  if (hashes.empty() || (git.has_value() && rootfs::IsCommit(git->revision)) ||
      std::find(hashes.begin(), hashes.end(), sha256) != hashes.end()) {
    return;
  }
  throw Error(Fault::kInvalid, fmt::format("building `{}`", archive.Label()))
      .Because(fmt::format("the sha256 of its source archive, {}, is none of the given hashes",
                           sha256.hex()));
}

FetchedSource FetchArchive(Engine& engine, rootfs::SourceArchive archive,
                           const std::optional<base::Digest>& sha256, const Network& network,
                           const base::CancelToken* cancel) {
  rootfs::Source& source = archive.source;
  store::Staging files = rootfs::FetchFile(engine.store(), engine.workers(),
                                           {.label = archive.Label(),
                                            .filename = source.filename,
                                            .url = source.url,
                                            .size = source.size,
                                            .sha256 = sha256},
                                           network.settings(), cancel);
  const base::UniqueFd file = base::OpenAt(files.tree(), source.filename, O_RDONLY);
  source.sha256 = base::DigestOfFile(file.get());
  return {std::move(archive), std::move(files)};
}

FetchedSource FetchNamed(Engine& engine, const rootfs::Requirement& requirement,
                         const base::CancelToken* cancel) {
  if (const auto git = rootfs::ParseGitUrl(requirement.url)) {
    GitTree tree = FetchGitTree(engine, *git, requirement.name, cancel);
    return {{.name = requirement.name, .source = std::move(tree.source)}, std::move(tree.files)};
  }
  const Network network(engine.config(), engine.config().index_url);
  return FetchArchive(engine,
                      {.name = requirement.name,
                       .source = {.kind = rootfs::Source::Kind::kUrl,
                                  .filename = base::FilenameOfUrl(requirement.url),
                                  .url = requirement.url,
                                  .sha256 = {}}},
                      requirement.sha256, network, cancel);
}

FetchedSource FetchRelease(Engine& engine, const rootfs::Requirement& requirement,
                           const rootfs::IndexAccess& index, const base::CancelToken* cancel) {
  Network network(engine.config(), engine.config().index_url);
  network.Present(index.login);
  rootfs::SourceArchive archive =
      rootfs::FindSource(engine.workers(), index, requirement.name, PinnedVersion(requirement),
                         network.settings(), cancel);
  const base::Digest sha256 = archive.source.sha256;
  return FetchArchive(engine, std::move(archive), sha256, network, cancel);
}

std::string ThisMachine() {
  utsname names;
  if (uname(&names) < 0) base::ThrowErrno("asking for this machine's architecture");
  return names.machine;
}

class SourceBuilder {
 public:
  SourceBuilder(Engine& engine, const rootfs::Image& image, const FetchedSource& fetched,
                const rootfs::RequirementSet& set, EventBus& events,
                const base::CancelToken* cancel)
      : engine_(engine),
        image_(image),
        archive_(fetched.archive),
        source_(fetched.files.tree_path()),
        set_(set),
        events_(events),
        cancel_(cancel) {}

  rootfs::NamedWheel Build() {
    const rootfs::BuildAnswer described = Run(rootfs::BuildMode::kDescribe, {}, nullptr);
    const rootfs::BuildSystem system =
        rootfs::ReadBuildSystem(ParseToml(engine_, described.pyproject(), cancel_));
    rootfs::Lock lock = Require(system.required);
    ReadyEnvironment ready = Ready(lock);
    const std::vector<std::string> more =
        Run(rootfs::BuildMode::kRequires, system, &ready).required();
    if (!more.empty()) {
      std::vector<std::string> all = system.required;
      all.insert(all.end(), more.begin(), more.end());
      lock = Require(all);
      ready = Ready(lock);
    }
    const KeptDocument kept = KeptFor(lock);
    if (auto there = FindKept(kept)) return *std::move(there);
    const rootfs::BuildAnswer built = Run(rootfs::BuildMode::kBuild, system, &ready);
    rootfs::NamedWheel wheel =
        rootfs::KeepBuilt(engine_.store(), archive_, built.filename(), built.wheel(), cancel_);
    kept.Keep(wheel.distribution.sha256.hex());
    return wheel;
  }

 private:
  KeptDocument KeptFor(const rootfs::Lock& lock) const {
    return {engine_, "builds",
            rootfs::BuildKey(archive_, lock, image_.interpreter, image_.manifest_digest,
                             ThisMachine())};
  }

  std::optional<rootfs::NamedWheel> FindKept(const KeptDocument& kept) {
    const auto digest = base::Digest::Parse(kept.Find().value_or(""));
    if (!digest.has_value()) return std::nullopt;
    return rootfs::FindWheel(engine_.store(), *digest, archive_.realm);
  }

  // Wheels of the same indexes, chosen as for anybody: nothing is built to build something.
  rootfs::Lock Require(const std::vector<std::string>& texts) {
    if (texts.empty()) return {};
    rootfs::RequirementSet set = rootfs::BuildRequirements(texts);
    set.indexes = set_.indexes;
    set.uploaded_before = set_.uploaded_before;
    return Resolve(engine_, image_, {std::move(set), {}}, Freshness::kKept,
                   fmt::format("the build of `{}`", archive_.Label()), events_, cancel_)
        .lock;
  }

  ReadyEnvironment Ready(const rootfs::Lock& lock) {
    if (lock.distributions.empty()) return {};
    return EnsureEnvironment(engine_, image_, lock, events_, cancel_);
  }

  // `ready`: null or empty for a build without requirements.
  rootfs::BuildAnswer Run(rootfs::BuildMode mode, const rootfs::BuildSystem& system,
                          const ReadyEnvironment* ready) {
    const bool alone = ready == nullptr || ready->environment.lowers.empty();
    const std::string python = alone ? image_.interpreter.executable : "/env/bin/python";
    ImageProgram program = {
        .root = &image_,
        .command = rootfs::MakeBuildCommand(mode, archive_, source_, system, python),
        .limits = OwnLimits{.memory = kBuildMemory, .timeout = engine_.config().build_timeout},
        .line_limit = rootfs::kBuildAnswerLine,
    };
    if (!alone) program.packages = rootfs::EnvironmentMount(ready->environment);
    rootfs::BuildAnswer answer(archive_);
    program.take_line = [&answer](std::string_view line) { answer.AddLine(line); };
    const ProgramEnd end = RunProgram(engine_, std::move(program), cancel_);
    if (!end.Succeeded()) {
      Error error = rootfs::BuildFailure(archive_, WhyItFailed(end));
      if (!end.errors.empty()) error.Because(base::Printable(base::Trim(end.errors)));
      throw error;
    }
    answer.Check();
    return answer;
  }

  std::string WhyItFailed(const ProgramEnd& end) const {
    if (end.timed_out) return TimedOut(engine_.config().build_timeout);
    return end.limit.value_or(end.end == runtime::Outcome::End::kExited
                                  ? fmt::format("it ended with code {}", end.code)
                                  : fmt::format("it was killed by signal {}", end.code));
  }

  Engine& engine_;
  const rootfs::Image& image_;
  const rootfs::SourceArchive& archive_;
  const std::string source_;  // below the state directory: the folder of the archive
  const rootfs::RequirementSet& set_;
  EventBus& events_;
  const base::CancelToken* cancel_;
};

}  // namespace

rootfs::NamedWheel BuildFromSource(Engine& engine, const rootfs::Image& image,
                                   const rootfs::Requirement& requirement,
                                   const rootfs::RequirementSet& set,
                                   const rootfs::IndexAccess& index, EventBus& events,
                                   const base::CancelToken* cancel) {
  const std::string what = requirement.IsSource()
                               ? requirement.name
                               : fmt::format("{} {}", requirement.name, PinnedVersion(requirement));
  std::optional<rootfs::NamedWheel> wheel;
  Report(events, "build " + what, "build", [&](Event&) {
    const FetchedSource fetched = requirement.IsSource()
                                      ? FetchNamed(engine, requirement, cancel)
                                      : FetchRelease(engine, requirement, index, cancel);
    CheckHash(fetched.archive, requirement, set.hashes);
    wheel = SourceBuilder(engine, image, fetched, set, events, cancel).Build();
    wheel->distribution.source = fetched.archive.source;
  });
  return *std::move(wheel);
}

}  // namespace rundlet::engine
