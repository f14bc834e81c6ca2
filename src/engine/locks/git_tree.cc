#include "engine/locks/git_tree.h"

#include <fcntl.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/host_port.h"
#include "base/text.h"
#include "base/walls.h"
#include "engine/core/host_files.h"
#include "engine/sandbox/image_program.h"
#include "engine/sandbox/wanted_limits.h"
#include "rootfs/net/fetch.h"
#include "store/normalise.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;
using base::Holds;
using base::Wall;

constexpr uint64_t kGitMemory = uint64_t{2} << 30;
constexpr const char* kTreeFile = "source.tar";
constexpr int kNoGit = 127;

// $1: URL, $2: revision. One level of history; the archive goes to descriptor 3, and is at most
// 1 GiB (in blocks of 512 bytes). What the tree says about archives (export-ignore, export-subst)
// holds: it is how its authors make theirs.
constexpr const char* kScript = R"(set -e
command -v git >/dev/null || exit 127
ulimit -f 2097152
git init --quiet --bare /tmp/repository
cd /tmp/repository
git fetch --quiet --depth=1 --no-tags "$1" "$2"
git rev-parse --verify --quiet 'FETCH_HEAD^{commit}'
git archive --format=tar --prefix=source/ FETCH_HEAD >&3
)";

// What is not done: a tree that is checked out says what else git has to fetch.
constexpr const char* kCheckOut = R"(git config core.bare false
git --work-tree=/tmp checkout --quiet --force FETCH_HEAD
cd /tmp
GIT_DIR=/tmp/repository GIT_WORK_TREE=/tmp git submodule --quiet update --init >&2
)";

base::HostPort HostOf(const rootfs::GitRevision& wanted) {
  const std::string authority =
      wanted.url.substr(8, wanted.url.find('/', 8) - 8);  // after "https://"
  const bool has_port = authority.find(':') != authority.npos;
  const auto host = base::ParseHostPort(has_port ? authority : authority + ":443");
  if (host.has_value()) return *host;
  throw Error(Fault::kInvalid, fmt::format("using git repository `{}`", wanted.url))
      .Because("its host is not given by a name");
}

ImageProgram GitProgram(Engine& engine, const rootfs::GitRevision& wanted) {
  ImageProgram program = {
      .root = HostTools{.hostname = "git"},
      .command = {.argv = {"sh", "-c", kScript, "sh", wanted.url, wanted.revision},
                  .environment = {{"LANG", "C.UTF-8"},
                                  {"PATH", "/usr/bin"},
                                  {"HOME", "/tmp"},
                                  {"GIT_CONFIG_NOSYSTEM", "1"},
                                  {"GIT_TERMINAL_PROMPT", "0"},
                                  {"GIT_HTTP_LOW_SPEED_LIMIT", "1000"},
                                  {"GIT_HTTP_LOW_SPEED_TIME", "60"},
                                  {"GIT_SSL_CAINFO", kBundleInside}}},
      .limits = OwnLimits{.memory = kGitMemory, .timeout = engine.config().build_timeout},
      .network =
          plans::Network{.level = plans::Network::Level::kAllow, .allowed = {HostOf(wanted)}},
  };
  if (Holds(Wall::kGitProtocols))
    program.command.environment.emplace_back("GIT_ALLOW_PROTOCOL", "https");
  if (!Holds(Wall::kCheckout)) program.command.argv[2] += kCheckOut;
  return program;
}

Error GitFailure(const rootfs::GitRevision& wanted, const std::string& name, Fault fault) {
  return Error(fault, fmt::format("fetching `{}` from git repository `{}`", name, wanted.url));
}

void CheckGitEnd(const ProgramEnd& end, double timeout, Error failure) {
  if (end.Succeeded()) return;
  if (end.end == runtime::Outcome::End::kExited && end.code == kNoGit) {
    failure.Because("this host has no `git`").SetHint("install it, beside rundlet");
    throw failure;
  }
  if (end.timed_out) failure.Because(TimedOut(timeout));
  if (end.limit.has_value()) failure.Because(*end.limit);
  if (!end.errors.empty()) failure.Because(base::Printable(base::Trim(end.errors)));
  failure.SetHint(
      "it must be public, and be reached without a proxy; at an inner address only when "
      "RUNDLET_PRIVATE_HOSTS lists its host");
  throw failure;
}

}  // namespace

GitTree FetchGitTree(Engine& engine, const rootfs::GitRevision& wanted, const std::string& name,
                     const base::CancelToken* cancel) {
  GitTree tree{.source = {.kind = rootfs::Source::Kind::kGit,
                          .filename = kTreeFile,
                          .url = wanted.url,
                          .sha256 = {}},
               .files = engine.store().NewStaging()};
  const base::UniqueFd file =
      base::OpenAt(tree.files.tree(), kTreeFile, O_RDWR | O_CREAT | O_EXCL, 0644);
  ImageProgram program = GitProgram(engine, wanted);
  program.files = {file.get()};
  program.take_line = [&tree](std::string_view line) { tree.source.commit = line; };
  CheckGitEnd(RunProgram(engine, std::move(program), cancel), engine.config().build_timeout,
              GitFailure(wanted, name, Fault::kHost));
  const std::string& commit = tree.source.commit;
  const bool other =
      Holds(Wall::kCommit) && rootfs::IsCommit(wanted.revision) && commit != wanted.revision;
  if (!rootfs::IsCommit(commit) || other) {
    throw GitFailure(wanted, name, Fault::kInvalid)
        .Because(
            fmt::format("it gave `{}` for commit `{}`", base::Printable(commit), wanted.revision));
  }
  if (lseek(file.get(), 0, SEEK_SET) < 0) base::ThrowErrno("reading the tree of `{}`", name);
  tree.source.sha256 = base::DigestOfFile(file.get());
  store::Normalise(tree.files.tree());
  return tree;
}

}  // namespace rundlet::engine
