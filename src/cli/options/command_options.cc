#include "cli/options/command_options.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/options/choice.h"
#include "cli/options/own_scope.h"

namespace rundlet::cli {
namespace {

constexpr int kRundletFailed = 125;

[[noreturn]] void Refuse(const std::string& option, const std::string& why) {
  throw base::Error(base::Fault::kInvalid, fmt::format("reading `{}`", option)).Because(why);
}

// A sandbox that may read all of the host, or write to it, is a mistake.
bool IsRootOfTheHost(int fd) {
  struct stat source;
  struct stat root;
  if (fstat(fd, &source) < 0 || stat("/", &root) < 0) base::ThrowErrno("looking at `/`");
  return source.st_dev == root.st_dev && source.st_ino == root.st_ino;
}

// SRC:DST[:ro|rw]; the source is opened here, with the rights of whoever runs this.
engine::UserMount ParseMount(const std::string& text) {
  const std::vector<std::string> parts = base::Split(text, ':');
  const bool with_mode = parts.size() == 3 && (parts[2] == "ro" || parts[2] == "rw");
  if (parts.size() != 2 && !with_mode)
    Refuse("--mount " + text, "it is not of the form SRC:DST[:ro|rw]");
  base::UniqueFd source = base::OpenHostPathWithoutLinks(parts[0], O_PATH);
  if (IsRootOfTheHost(source.get())) Refuse("--mount " + text, "`/` is the whole host");
  return {
      .source = std::move(source), .target = parts[1], .writable = with_mode && parts[2] == "rw"};
}

std::pair<std::string, std::string> ParseVariable(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    Refuse("--env " + text, "it is not of the form NAME=VALUE");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

// PACKAGE[,PACKAGE]=URL. The index is named by its place among the others: nobody refers to it.
rootfs::PinnedIndex ParseIndex(const std::string& text, size_t number) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    Refuse("--index " + text, "it is not of the form PACKAGE[,PACKAGE]=URL");
  return {.name = fmt::format("index-{}", number),
          .url = text.substr(equals + 1),
          .packages = base::Split(text.substr(0, equals), ',')};
}

plans::Network ParseLevel(const std::string& text) {
  const auto network = plans::ParseNetwork(text);
  if (!network.has_value())
    Refuse("--network " + base::Printable(text),
           "it is none of `none`, `packages`, `host`, `allow=HOST:PORT[,HOST:PORT...]`");
  return *network;
}

}  // namespace

engine::CommandRequest CommandOptions::Request() const {
  engine::CommandRequest request = {.image = image,
                                    .requirements = requirements,
                                    .composition = composition,
                                    .writable_environment = writable_environment,
                                    .upgrade = upgrade,
                                    .script = {},
                                    .command = {},
                                    .environment = {},
                                    .cwd = cwd,
                                    .mounts = {},
                                    .network = ParseLevel(network),
                                    .limits = ParseLimits(limits)};
  for (const std::string& file : requirement_files)
    request.requirements.texts.push_back("-r " + file);
  for (const std::string& index : indexes) {
    auto& pinned = request.requirements.indexes;
    pinned.push_back(ParseIndex(index, pinned.size() + 1));
  }
  for (const std::string& mount : mounts) request.mounts.push_back(ParseMount(mount));
  for (const std::string& variable : environment)
    request.environment.push_back(ParseVariable(variable));
  return request;
}

void AddCommandOptions(CLI::App& command, CommandOptions& options) {
  command.add_option("--image", options.image, "Image to run in (default: the only one)");
  command
      .add_option("--with", options.requirements.texts,
                  "Package requirement, such as 'pandas==2.2.3', or a wheel; may be repeated")
      ->allow_extra_args(false);
  command
      .add_option("-r,--requirements", options.requirement_files,
                  "requirements.txt, pylock.toml or pyproject.toml[:GROUP]; may be repeated")
      ->allow_extra_args(false);
  command
      .add_option("--prefer", options.requirements.preferred,
                  "Package whose files win where two bring the same; may be repeated")
      ->allow_extra_args(false);
  command
      .add_option("--index", options.indexes,
                  "Where some packages come from instead: PACKAGE[,PACKAGE]=URL; may be repeated")
      ->allow_extra_args(false);
  command
      .add_option(
          "--build", options.requirements.built,
          "Package to build from source, in a sandbox: of a pinned version, or of the archive "
          "or git URL that requires it; may be repeated")
      ->allow_extra_args(false);
  command.add_option("--exclude-newer", options.requirements.uploaded_before,
                     "Leave out what was uploaded later: 2026-01-31, or 2026-01-31T12:00:00Z");
  AddChoice(
      command, "--composition", {"overlay", "binds"},
      [&options](size_t word) {
        options.composition =
            word == 0 ? engine::Composition::kOverlay : engine::Composition::kBinds;
      },
      "How packages come in: overlay (default), as one directory, /env; or binds, each by itself, "
      "on PYTHONPATH");
  command.add_flag("--writable-env", options.writable_environment,
                   "Let the command write to /env; what it writes is dropped at the end");
  command.add_option("--mount", options.mounts, "Host file or directory: SRC:DST[:ro|rw]")
      ->allow_extra_args(false);
  command.add_option("--env", options.environment, "Environment variable: NAME=VALUE")
      ->allow_extra_args(false);
  command.add_option("--cwd", options.cwd, "Working directory inside");
  command.add_option("--network", options.network,
                     "What it may reach: none (default), packages, host, or "
                     "allow=HOST:PORT[,HOST:PORT...]");
  AddLimitOptions(command, options.limits);
  command.add_flag("--upgrade", options.upgrade, "Resolve the packages again");
}

void ReportLimit(const std::string& command, const engine::ExecOutcome& outcome) {
  if (!outcome.limit.has_value()) return;
  const base::Error error =
      base::Error(base::Fault::kStep, fmt::format("running `{}`", command)).Because(*outcome.limit);
  std::fputs(error.Render().c_str(), stderr);
}

int WithCommandCodes(const std::function<int()>& run) {
  try {
    return run();
  } catch (const base::Cancelled&) {
    throw;
  } catch (const runtime::ProgramError& error) {
    std::fputs(error.Render().c_str(), stderr);
    return error.exit_code();
  } catch (base::Error& error) {
    RetryInOwnScope(error);
    std::fputs(error.Render().c_str(), stderr);
    return kRundletFailed;
  }
}

}  // namespace rundlet::cli
