#include "engine/core/worker_runner.h"

#include <fcntl.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/fs.h"
#include "base/json/depth.h"
#include "base/json/fields.h"
#include "base/text.h"
#include "engine/core/capture.h"
#include "engine/core/host_files.h"
#include "engine/core/network.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;
using nlohmann::json;

constexpr size_t kErrorTail = 4096;
constexpr size_t kMaxChain = 64;
constexpr size_t kMaxText = 8192;

// What a worker says of an error is outsiders' text in part: bounded, and without control
// characters.
std::string SafeText(const json& value) {
  return base::Printable(value.is_string() ? value.get<std::string>().substr(0, kMaxText)
                                           : std::string());
}

// Throws base::Error (kInvalid) when it is none.
Error ErrorFromWorker(const json& document, const base::DocumentOrigin& origin) {
  const base::Fields fields(document, origin);
  const uint64_t fault = fields.Number("fault");
  const json& chain = fields.List("chain", kMaxChain);
  if (fault < 1 || fault > 5) throw fields.Refuse("`fault` is none");
  if (chain.empty()) throw fields.Refuse("`chain` is empty");
  Error error(static_cast<Fault>(fault), SafeText(chain.front()));
  for (size_t i = 1; i < chain.size(); ++i) error.Because(SafeText(chain[i]));
  if (fields.Has("hint")) error.SetHint(SafeText(document["hint"]));
  return error;
}

rootfs::WorkerProgress ProgressFromWorker(const json& document,
                                          const base::DocumentOrigin& origin) {
  const base::Fields fields(document, origin);
  return {.item = fields.Number("item"),
          .done = fields.Number("done"),
          .total = fields.Number("total")};
}

bool UsesNetwork(const rootfs::WorkerJob& job) { return job.network == runtime::Network::kHost; }

// Collects the worker's lines: progress is passed on, the last word is kept.
class Conversation {
 public:
  Conversation(const rootfs::WorkerJob& job, const rootfs::ProgressCallback& progress)
      : job_(job), origin_(base::AnswerOf(job.command)), progress_(progress) {}

  void AddLine(std::string_view line) {
    size_ += line.size();
    if (size_ > job_.answer_limit) return;                    // remembered by size_; told in Finish
    if (base::JsonDepth(line) > base::kMaxJsonDepth) return;  // then it gives no answer
    const json document = json::parse(line, nullptr, false);
    if (!document.is_object()) return;
    if (const auto progress = document.find("progress"); progress != document.end()) {
      const rootfs::WorkerProgress told = ProgressFromWorker(*progress, origin_);
      if (progress_) progress_(told);
    } else if (const auto failure = document.find("error"); failure != document.end()) {
      error_ = ErrorFromWorker(*failure, origin_);
    } else if (const auto answer = document.find("answer"); answer != document.end()) {
      answer_ = answer->dump();
    }
  }

  std::string Finish(const runtime::Outcome& outcome, const std::string& errors) {
    if (error_.has_value()) throw *error_;
    if (size_ > job_.answer_limit) {
      throw Error(Fault::kInvalid, fmt::format("reading what worker `{}` says", job_.command))
          .Because(fmt::format("it is more than {}", base::HumanBytes(job_.answer_limit)));
    }
    const bool exited = outcome.end == runtime::Outcome::End::kExited;
    if (!exited || outcome.code != 0 || !answer_.has_value()) {
      Error error = Error(Fault::kHost, fmt::format("running worker `{}`", job_.command))
                        .Because(exited ? fmt::format("it ended with code {} and without an answer",
                                                      outcome.code)
                                        : fmt::format("it was killed by signal {}", outcome.code));
      if (!errors.empty()) error.Because(base::Printable(base::Trim(errors)));
      throw error;
    }
    return *std::move(answer_);
  }

 private:
  const rootfs::WorkerJob& job_;
  const base::DocumentOrigin origin_;
  const rootfs::ProgressCallback& progress_;
  uint64_t size_ = 0;
  std::optional<Error> error_;
  std::optional<std::string> answer_;
};

}  // namespace

WorkerRunner::WorkerRunner(const Config& config, const Installation& parts,
                           runtime::Launcher& launcher)
    : config_(config),
      worker_(base::OpenHostPath(parts.worker, O_PATH)),
      fetcher_(base::OpenHostPath(parts.fetcher, O_PATH)),
      launcher_(launcher) {}

int WorkerRunner::ProgramFor(const rootfs::WorkerJob& job) const {
  return (UsesNetwork(job) ? fetcher_ : worker_).get();
}

runtime::CheckedSpec WorkerRunner::SpecFor(const rootfs::WorkerJob& job,
                                           HandedMounts& handed) const {
  if (UsesNetwork(job)) RequireNetwork(config_, "downloading");
  runtime::SandboxSpec spec;
  spec.hostname = "worker";
  spec.mounts.mounts = WorkerRoot(handed);
  if (UsesNetwork(job)) AddNetworkFiles(handed, config_);
  for (const runtime::Mount& mount : handed.mounts) spec.mounts.mounts.push_back(mount);
  for (const runtime::Mount& mount : job.mounts) spec.mounts.mounts.push_back(mount);
  spec.argv = {UsesNetwork(job) ? "rundlet-fetcher" : "rundlet-worker", job.command};
  spec.environment = {{"LANG", "C.UTF-8"}, {"PATH", "/usr/bin"}};
  spec.ids = config_.ids;
  // Root of its own user namespace only: what it creates in an id-shifted staging directory belongs
  // to root on disk. Without the unpacker's privilege it has no capability even there.
  spec.uid = 0;
  spec.gid = 0;
  spec.network = job.network;
  spec.privilege = job.privilege;
  spec.program_by_descriptor = true;
  return runtime::CheckSpec(std::move(spec));
}

runtime::Sandbox WorkerRunner::Start(const rootfs::WorkerJob& job) {
  HandedMounts handed;
  const runtime::CheckedSpec checked = SpecFor(job, handed);
  const base::UniqueFd request = base::MemoryFile("rundlet-request", job.request);
  const base::UniqueFd null = base::OpenHostPath("/dev/null", O_WRONLY);
  return launcher_.Start({.spec = &checked,
                          .standard_input = request.get(),
                          .standard_output = null.get(),
                          .standard_error = null.get(),
                          .files = job.files,
                          .mounts = handed.numbers(),
                          .program = ProgramFor(job)});
}

std::string WorkerRunner::Run(const rootfs::WorkerJob& job,
                              const rootfs::ProgressCallback& progress,
                              const base::CancelToken* cancel) {
  HandedMounts handed;
  const runtime::CheckedSpec checked = SpecFor(job, handed);
  const base::UniqueFd request = base::MemoryFile("rundlet-request", job.request);
  Conversation conversation(job, progress);
  Tail errors(kErrorTail);
  const OutputSinks sinks = {
      .standard_output = [&](std::string_view line) { conversation.AddLine(line); },
      .standard_error = [&](std::string_view line) { errors.AddLine(line); },
      .line_limit = job.answer_limit};
  const runtime::Outcome outcome = RunCaptured(launcher_,
                                               {.spec = &checked,
                                                .standard_input = request.get(),
                                                .files = job.files,
                                                .mounts = handed.numbers(),
                                                .program = ProgramFor(job)},
                                               sinks, cancel);
  return conversation.Finish(outcome, errors.text());
}

}  // namespace rundlet::engine
