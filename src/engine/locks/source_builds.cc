#include "engine/locks/source_builds.h"

#include <fcntl.h>
#include <sys/utsname.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/base64.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/json/depth.h"
#include "base/text.h"
#include "base/url.h"
#include "engine/core/capture.h"
#include "engine/core/kept_document.h"
#include "engine/core/network.h"
#include "engine/core/toml.h"
#include "engine/locks/git_tree.h"
#include "engine/locks/resolver.h"
#include "engine/packages/environments.h"
#include "engine/sandbox/image_sandbox.h"
#include "engine/sandbox/wanted_limits.h"
#include "rootfs/requirements/source_build.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

constexpr uint64_t kBuildMemory = uint64_t{2} << 30;
constexpr uint64_t kBuiltLimit = uint64_t{512} << 20;  // of a wheel
constexpr size_t kBuildTail = 4096;
constexpr size_t kAnswerLine = 4 << 20;

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

// What a build said: a line of JSON, and the wheel.
struct BuildAnswer {
  nlohmann::json head;
  std::string wheel;
};

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
    const BuildAnswer described = Run(rootfs::BuildMode::kDescribe, {}, nullptr);
    const rootfs::BuildSystem system =
        rootfs::ReadBuildSystem(ParseToml(engine_, TextOf(described.head, "pyproject"), cancel_));
    rootfs::Lock lock = Require(system.required);
    ReadyEnvironment ready = Ready(lock);
    const std::vector<std::string> more = Texts(Run(rootfs::BuildMode::kRequires, system, &ready));
    if (!more.empty()) {
      std::vector<std::string> all = system.required;
      all.insert(all.end(), more.begin(), more.end());
      lock = Require(all);
      ready = Ready(lock);
    }
    const KeptDocument kept = KeptFor(lock);
    if (auto there = FindKept(kept)) return *std::move(there);
    const BuildAnswer built = Run(rootfs::BuildMode::kBuild, system, &ready);
    rootfs::NamedWheel wheel = rootfs::KeepBuilt(engine_.store(), archive_,
                                                 TextOf(built.head, "wheel"), built.wheel, cancel_);
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
  BuildAnswer Run(rootfs::BuildMode mode, const rootfs::BuildSystem& system,
                  const ReadyEnvironment* ready) {
    const ImageSandbox sandbox(engine_, image_);
    runtime::SandboxSpec spec = sandbox.Spec();
    std::string python = image_.interpreter.executable;
    if (ready != nullptr && !ready->environment.lowers.empty()) {
      UseEnvironment(spec, rootfs::EnvironmentMount(ready->environment));
      python = "/env/bin/python";
    }
    spec.mounts.mounts.push_back({rootfs::kSourceInside, runtime::StorePath{source_}});
    const rootfs::BuildCommand command = rootfs::MakeBuildCommand(mode, archive_, system, python);
    spec.argv = command.argv;
    ApplyLimits({.memory = kBuildMemory, .cpus = {}, .pids = {}, .disk = {}, .timeout = {}}, spec);
    const runtime::CheckedSpec checked = runtime::CheckSpec(std::move(spec));
    const base::UniqueFd input = base::MemoryFile("build", command.input);
    BuildAnswer answer;
    Tail errors(kBuildTail);
    const auto take = [&answer](std::string_view line) {
      if (answer.head.is_null()) {
        answer.head = base::JsonDepth(line) > base::kMaxJsonDepth
                          ? nlohmann::json(false)
                          : nlohmann::json::parse(line, nullptr, false);
      } else if (answer.wheel.size() <= kBuiltLimit) {
        answer.wheel += base::DecodeBase64(line).value_or("");
      }
    };
    const double timeout = engine_.config().build_timeout;
    const CapturedOutcome outcome =
        RunCaptured(engine_.launcher(), {.spec = &checked, .standard_input = input.get()},
                    {.standard_output = take,
                     .standard_error = [&](std::string_view line) { errors.AddLine(line); },
                     .line_limit = kAnswerLine,
                     .timeout = timeout},
                    cancel_);
    CheckEnd(checked.value(), outcome, errors.text());
    if (!answer.head.is_object()) Fail("it gave no answer", "");
    if (answer.wheel.size() > kBuiltLimit)
      Fail(fmt::format("its wheel is larger than {}", base::HumanBytes(kBuiltLimit)), "");
    return answer;
  }

  void CheckEnd(const runtime::SandboxSpec& spec, const CapturedOutcome& outcome,
                const std::string& errors) const {
    if (outcome.timed_out) Fail(TimedOut(engine_.config().build_timeout), errors);
    if (outcome.end == runtime::Outcome::End::kExited && outcome.code == 0) return;
    const std::optional<std::string> limit = StruckLimit(spec, outcome);
    Fail(limit.value_or(outcome.end == runtime::Outcome::End::kExited
                            ? fmt::format("it ended with code {}", outcome.code)
                            : fmt::format("it was killed by signal {}", outcome.code)),
         errors);
  }

  [[noreturn]] void Fail(std::string cause, const std::string& errors) const {
    Error error(Fault::kInvalid,
                fmt::format("building `{}` from its source archive", archive_.Label()));
    error.Because(std::move(cause));
    if (!errors.empty()) error.Because(base::Printable(base::Trim(errors)));
    throw error;
  }

  std::string TextOf(const nlohmann::json& head, const char* key) const {
    const auto found = head.find(key);
    if (found == head.end() || !found->is_string()) Fail("its answer is malformed", "");
    return found->get<std::string>();
  }

  std::vector<std::string> Texts(const BuildAnswer& answer) const {
    const nlohmann::json list = answer.head.value("requires", nlohmann::json());
    if (!list.is_array()) Fail("its answer is malformed", "");
    std::vector<std::string> texts;
    for (const nlohmann::json& item : list) {
      if (!item.is_string()) Fail("its answer is malformed", "");
      texts.push_back(item.get<std::string>());
    }
    return texts;
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
