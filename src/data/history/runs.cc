#include "data/history/runs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"

namespace rundlet::data {
namespace {

using base::Error;
using base::Fault;
using nlohmann::json;

constexpr size_t kRecordLimit = 64 << 20;
constexpr size_t kLogLimit = 256 << 20;
constexpr RunState kStates[] = {RunState::kRunning, RunState::kSucceeded, RunState::kFailed,
                                RunState::kInterrupted};

// Sorts by time; the end is the part of the second, in 65536ths: "20260131-154502-3fa9".
std::string NewRunId(const timespec& now) {
  tm parts;
  gmtime_r(&now.tv_sec, &parts);
  char text[32];
  strftime(text, sizeof text, "%Y%m%d-%H%M%S", &parts);
  return fmt::format("{}-{:04x}", text, (now.tv_nsec << 16) / 1'000'000'000);
}

json InputsToJson(const std::vector<InputRecord>& inputs) {
  json list = json::array();
  for (const InputRecord& input : inputs)
    list.push_back({{"table", input.table}, {"bytes", input.bytes}, {"missing", input.missing}});
  return list;
}

json ToJson(const RunRecord& run) {
  json steps = json::array();
  for (const StepRecord& step : run.steps) {
    steps.push_back({{"name", step.name},
                     {"kind", step.kind},
                     {"result", step.result},
                     {"seconds", step.seconds},
                     {"cpu_seconds", step.cpu_seconds},
                     {"peak_memory", step.peak_memory},
                     {"rows", step.rows.has_value() ? json(*step.rows) : json()},
                     {"message", step.message},
                     {"network", step.network},
                     {"inputs", InputsToJson(step.inputs)}});
  }
  return {{"version", 1},
          {"id", run.id},
          {"project", run.project},
          {"path", run.path},
          {"started_at", run.started_at},
          {"seconds", run.seconds},
          {"state", NameOf(run.state)},
          {"id_base", run.id_base},
          {"id_count", run.id_count},
          {"steps", steps}};
}

RunRecord FromJson(const json& document) {
  RunRecord run;
  run.id = document.at("id");
  run.project = document.at("project");
  run.path = document.at("path");
  run.started_at = document.at("started_at");
  run.seconds = document.at("seconds");
  run.id_base = document.at("id_base");
  run.id_count = document.at("id_count");
  const auto state = document.at("state").get<std::string>();
  for (const RunState candidate : kStates) {
    if (state == NameOf(candidate)) run.state = candidate;
  }
  for (const json& step : document.at("steps")) {
    StepRecord record = {step.at("name"), step.at("kind"), step.at("result"), step.at("seconds")};
    record.cpu_seconds = step.value("cpu_seconds", 0.0);  // not in records of earlier versions
    record.peak_memory = step.at("peak_memory");
    if (!step.at("rows").is_null()) record.rows = step.at("rows").get<uint64_t>();
    record.message = step.at("message");
    record.network = step.value("network", "none");  // likewise
    for (const json& input : step.value("inputs", json::array()))
      record.inputs.push_back({input.at("table"), input.at("bytes"), input.at("missing")});
    run.steps.push_back(std::move(record));
  }
  return run;
}

bool IsAlive(int dir) {
  const auto lock = base::TryOpenAt(dir, ".lock", O_RDWR);
  return lock.has_value() && flock(lock->get(), LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

// A power cut may have left a part of it, which counts as nothing.
std::optional<RunRecord> RecordIn(int dir) {
  const auto file = base::TryOpenAt(dir, "run.json", O_RDONLY);
  if (!file.has_value()) return std::nullopt;
  try {
    return FromJson(json::parse(base::ReadFd(file->get(), kRecordLimit, "a run's record")));
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

std::optional<RunRecord> ReadRun(store::Store& store, const std::string& id) {
  const auto dir = base::TryOpenAt(store.dir(), "runs/" + id, O_RDONLY | O_DIRECTORY);
  if (!dir.has_value()) return std::nullopt;
  const auto runs = [](const auto& run) { return run && run->state == RunState::kRunning; };
  std::optional<RunRecord> run = RecordIn(dir->get());
  if (!runs(run) || IsAlive(dir->get())) return run;
  // It may have ended since its record was read, and said so.
  run = RecordIn(dir->get());
  if (runs(run)) run->state = RunState::kInterrupted;
  return run;
}

std::vector<std::string> RunIds(store::Store& store) {
  std::vector<std::string> ids;
  for (const base::DirEntry& entry : base::ListDir(store.dir(), "runs")) {
    if (entry.type == DT_DIR) ids.push_back(entry.name);
  }
  std::reverse(ids.begin(), ids.end());
  return ids;
}

}  // namespace

const char* NameOf(RunState state) {
  switch (state) {
    case RunState::kRunning:
      return "running";
    case RunState::kSucceeded:
      return "succeeded";
    case RunState::kFailed:
      return "failed";
    case RunState::kInterrupted:
      return "interrupted";
  }
  return "unknown";
}

Run::Run(store::Store& store, RunRecord record)
    : record_(std::move(record)), begin_(std::chrono::steady_clock::now()) {
  while (true) {  // until the id is nobody else's
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    record_.started_at = now.tv_sec;
    record_.id = NewRunId(now);
    if (mkdirat(store.dir(), directory().c_str(), 0700) == 0) break;
    if (errno != EEXIST) base::ThrowErrno("making run `{}`", record_.id);
  }
  base::MakeDirs(store.dir(), directory() + "/logs", 0700);
  base::MakeDirs(store.dir(), directory() + "/project", 0755);
  base::MakeDirs(store.dir(), directory() + "/steps", 0755);
  dir_ = base::OpenAt(store.dir(), directory(), O_RDONLY | O_DIRECTORY);
  lock_ = base::OpenAt(dir_.get(), ".lock", O_RDWR | O_CREAT, 0600);
  if (flock(lock_.get(), LOCK_EX) < 0) base::ThrowErrno("locking run `{}`", record_.id);
  WriteRecord();
}

// Its path may be any bytes.
void Run::WriteRecord() const {
  base::ReplaceAt(dir_.get(), "run.json",
                  ToJson(record_).dump(1, ' ', false, json::error_handler_t::replace), 0600,
                  base::Durability::kNone);
}

void Run::Finish(RunState state) {
  record_.state = state;
  record_.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  base::RemoveTree(dir_.get(), "steps");
  WriteRecord();
}

std::vector<RunRecord> ListRuns(store::Store& store) {
  std::vector<RunRecord> runs;
  for (const std::string& id : RunIds(store)) {
    if (std::optional<RunRecord> run = ReadRun(store, id)) runs.push_back(*std::move(run));
  }
  return runs;
}

RunRecord FindRun(store::Store& store, const std::string& id) {
  const auto refuse = [&id](const std::string& why) {
    return Error(Fault::kInvalid, fmt::format("looking for run `{}`", base::Printable(id)))
        .Because(why)
        .Hint("`rundlet runs ls` lists them");
  };
  std::vector<RunRecord> matches;
  for (const std::string& candidate : RunIds(store)) {
    if (id == "last" ? !matches.empty() : !candidate.starts_with(id)) continue;
    std::optional<RunRecord> run = ReadRun(store, candidate);
    if (!run && candidate == id) throw refuse("it has no record");
    if (run) matches.push_back(*std::move(run));
  }
  if (matches.empty()) throw refuse("there is none");
  if (matches.size() > 1) throw refuse(fmt::format("{} runs begin like that", matches.size()));
  return matches.front();
}

std::string ReadLogs(store::Store& store, const RunRecord& run, const std::string& step) {
  const base::UniqueFd logs =
      base::OpenAt(store.dir(), fmt::format("runs/{}/logs", run.id), O_RDONLY | O_DIRECTORY);
  if (!step.empty()) {
    const std::string name = step + ".log";
    if (!base::IsPlainRelative(name) || !base::ExistsAt(logs.get(), name)) {
      throw Error(Fault::kInvalid,
                  fmt::format("reading the log of step `{}`", base::Printable(step)))
          .Because(fmt::format("run `{}` has none", run.id));
    }
    return base::ReadAt(logs.get(), name, kLogLimit);
  }
  std::string text;
  for (const base::DirEntry& entry : base::ListDir(logs.get())) {
    const std::string name = entry.name.substr(0, entry.name.rfind('.'));
    for (const std::string& line :
         base::Split(base::Trim(base::ReadAt(logs.get(), entry.name, kLogLimit)), '\n')) {
      if (!line.empty()) text += fmt::format("{} | {}\n", name, line);
    }
  }
  return text;
}

}  // namespace rundlet::data
