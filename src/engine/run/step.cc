#include "engine/run/step.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fs.h"
#include "base/json/depth.h"
#include "base/text.h"
#include "base/walls.h"
#include "engine/packages/own_modules.h"
#include "engine/sandbox/image_program.h"
#include "engine/sandbox/sandbox_network.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;
using base::Holds;
using base::Wall;
using nlohmann::json;

constexpr size_t kResultLimit = 1 << 20;
constexpr size_t kMaxColumns = 20'000;
constexpr int kFirstFile = 3;
constexpr unsigned kStepUser = 1000;
constexpr const char* kParquet = "table.parquet";
constexpr uint64_t kOutBytes = uint64_t{16} << 20;  // a result and what replaces it, with room
constexpr size_t kMaxCell = 512;                    // bytes: the runner cuts texts at 80 characters

std::string FileInside(size_t index) { return fmt::format("/proc/self/fd/{}", kFirstFile + index); }

base::UniqueFd NewTable(const std::string& label) {
  base::UniqueFd table(memfd_create(label.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!table.valid()) base::ThrowErrno("making shared memory for table `{}`", label);
  return table;
}

// From here on nobody can change it, whatever descriptors are left. What consumers get is a
// read-only description.
SharedTable Seal(const base::UniqueFd& table, const std::string& label) {
  if (fcntl(table.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
      0) {
    base::ThrowErrno("sealing table `{}`", label);
  }
  return std::make_shared<base::UniqueFd>(
      base::OpenHostPath(fmt::format("/proc/self/fd/{}", table.get()), O_RDONLY));
}

// Reading a table's files and keeping a result, where nothing of a user's runs.
bool IsOwn(const StepTask& task) {
  return task.source != nullptr || task.output == StepOutput::kParquet;
}

json InputsOf(const StepTask& task) {
  json inputs = json::array();
  for (size_t i = 0; i < task.inputs.size(); ++i) {
    const StepInput& input = task.inputs[i];
    inputs.push_back({{"argument", input.argument},
                      {"model", input.model},
                      {"path", FileInside(i)},
                      {"columns", input.all_columns ? json() : json(input.columns)},
                      {"filter", input.filter.empty() ? json() : json::parse(input.filter)}});
  }
  return inputs;
}

json RequestFor(const StepTask& task) {
  json request = {{"version", 1},
                  {"kind", task.kind},
                  {"step", task.label},
                  {"inputs", InputsOf(task)},
                  {"parameters", json::parse(task.parameters)},
                  {"limit", task.limit}};
  if (!task.function.empty()) {
    request["file"] = task.file;
    request["function"] = task.function;
  }
  if (!task.sql.empty()) request["sql"] = task.sql;
  if (task.source != nullptr) {
    json paths = json::array();
    for (size_t i = 0; i < task.source->files.size(); ++i) {
      paths.push_back(
          fmt::format("/rundlet/in/{}/{}.{}", task.source->table, i, task.source->format));
    }
    request["source"] = {{"paths", paths}, {"format", task.source->format}};
  }
  if (task.output == StepOutput::kTable) request["output"] = FileInside(task.inputs.size());
  if (task.output == StepOutput::kParquet)
    request["output"] = fmt::format("{}/{}", kOutInside, kParquet);
  return request;
}

struct OutDirectory {
  base::UniqueFd fd;
  runtime::Mount mount;
};

// In memory, unless a table is to be kept: no step of a user fills the disk of the state directory,
// or leaves something on it. On disk it belongs to the step's user; the mount shifts the owner into
// the sandbox's ids.
OutDirectory MakeOut(Engine& engine, const StepTask& task, HandedMounts& handed) {
  if (task.output == StepOutput::kParquet) {
    const int state = engine.store().dir();
    base::MakeDirs(state, task.out, 0755);
    base::UniqueFd out = base::OpenAt(state, task.out, O_RDONLY | O_DIRECTORY);
    if (fchown(out.get(), kStepUser, kStepUser) < 0) base::ThrowErrno("making `{}`", task.out);
    return {std::move(out), {kOutInside, runtime::StorePath{task.out, true, true}}};
  }
  const auto index = static_cast<uint32_t>(handed.descriptors.size());
  handed.descriptors.push_back(
      runtime::DetachedTmpfs(Holds(Wall::kOutDirectory) ? kOutBytes : kOutBytes << 6,
                             engine.config().ids.base + kStepUser, 0755));
  // What is handed over is only a place.
  base::UniqueFd out = base::OpenAt(handed.descriptors.back().get(), ".", O_RDONLY | O_DIRECTORY);
  return {std::move(out), {kOutInside, runtime::HandedMount{index, true}}};
}

std::string Text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// The runner's own account of a failure: the exception, where it is in the user's files, and its
// hint.
[[noreturn]] void ThrowReported(const StepTask& task, const json& report) {
  // Only a user's code runs out of its own scratch; what is kept lies in the state directory.
  if (task.output == StepOutput::kParquet && Text(report, "type") == "NoSpaceError") {
    throw base::ErrnoError(ENOSPC, fmt::format("keeping the result of `{}`", task.label));
  }
  const std::string file = Text(report, "file");
  const auto line = report.find("line");
  std::string where;
  if (!file.empty() && line != report.end() && line->is_number_unsigned()) {
    where = fmt::format("{}:{}: ", file, line->get<uint64_t>());
  }
  Error error = Error(Fault::kStep, fmt::format("running step `{}`", task.label))
                    .Because(base::Printable(fmt::format("{}{}: {}", where, Text(report, "type"),
                                                         Text(report, "message"))));
  error.SetHint(base::Printable(Text(report, "hint")));
  throw error;
}

// Rows of scalars, as many as were asked for. Whoever prints them makes each as wide as the widest.
bool IsPreview(const json& rows, const StepTask& task, size_t columns) {
  const auto is_cell = [](const json& cell) {
    return cell.is_primitive() &&
           (!cell.is_string() || cell.get_ref<const std::string&>().size() <= kMaxCell);
  };
  return rows.is_array() && rows.size() <= task.limit &&
         std::all_of(rows.begin(), rows.end(), [&](const json& row) {
           return row.is_array() && row.size() == columns &&
                  std::all_of(row.begin(), row.end(), is_cell);
         });
}

StepResult ReadResult(const StepTask& task, const std::string& text) {
  const auto malformed = [&task](const char* what) {
    return Error(Fault::kStep, fmt::format("running step `{}`", task.label))
        .Because(fmt::format("its result is malformed: {}", what));
  };
  if (Holds(Wall::kResultDepth) && base::JsonDepth(text) > base::kMaxJsonDepth)
    throw malformed("it is nested too deeply");
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object() || !document.contains("ok") || !document["ok"].is_boolean())
    throw malformed("no `ok`");
  if (!document["ok"].get<bool>()) {
    const json report = document.value("error", json::object());
    ThrowReported(task, report.is_object() ? report : json::object());
  }
  StepResult result;
  if (const auto rows = document.find("rows");
      rows != document.end() && rows->is_number_unsigned()) {
    result.rows = rows->get<uint64_t>();
  }
  if (const auto bytes = document.find("bytes");
      bytes != document.end() && bytes->is_number_unsigned()) {
    result.bytes = bytes->get<uint64_t>();
  }
  if (const auto columns = document.find("columns");
      columns != document.end() && columns->is_array()) {
    if (columns->size() > kMaxColumns) throw malformed("too many columns");
    for (const json& column : *columns) {
      if (!column.is_object()) throw malformed("a column is no object");
      result.columns.emplace_back(base::Printable(Text(column, "name")),
                                  base::Printable(Text(column, "type")));
    }
  }
  if (const auto preview = document.find("preview"); preview != document.end()) {
    if (Holds(Wall::kPreview) && !IsPreview(*preview, task, result.columns.size()))
      throw malformed("its preview is none");
    result.preview = preview->dump(-1, ' ', false, json::error_handler_t::replace);
  }
  if (const auto held = document.find("held"); held != document.end() && held->is_boolean()) {
    result.held = held->get<bool>();
  }
  result.message = base::Printable(Text(document, "message"));
  return result;
}

std::optional<base::UniqueFd> OpenResult(int out) {
  constexpr const char* kName = "result.json";
  if (!Holds(Wall::kResultFile))
    return base::UniqueFd(openat(out, kName, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  return base::TryOpenAt(out, kName, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
}

// What is there instead of a file is the step's doing.
std::optional<std::string> ResultText(const StepTask& task, int out) {
  try {
    const auto file = OpenResult(out);
    if (!file.has_value()) return std::nullopt;
    return base::ReadFd(file->get(), Holds(Wall::kResultSize) ? kResultLimit : kOutBytes,
                        "a step's result");
  } catch (const Error& error) {
    throw Error(Fault::kStep, fmt::format("running step `{}`", task.label))
        .Because("its result cannot be read: " + error.chain().back());
  }
}

// Adds the limit that struck, if one did, to the account of a failure.
Error WithLimit(Error error, const runtime::SandboxSpec& spec, const runtime::Outcome& outcome) {
  const std::optional<std::string> limit = StruckLimit(spec, outcome);
  if (!limit.has_value()) return error;
  error.Because(*limit);
  if (outcome.memory_kills > 0 && spec.limits.memory.has_value())
    error.SetHint("give it more with `memory` in `@rundlet.resources`");
  return error;
}

Error EndedWithoutResult(const StepTask& task, const runtime::SandboxSpec& spec,
                         const runtime::Outcome& outcome) {
  Error error(Fault::kStep, fmt::format("running step `{}`", task.label));
  if (StruckLimit(spec, outcome).has_value()) return WithLimit(std::move(error), spec, outcome);
  if (outcome.end == runtime::Outcome::End::kExited) {
    return std::move(error).Because(
        fmt::format("it left with code {} and without a result", outcome.code));
  }
  return std::move(error).Because(
      fmt::format("it was killed by signal {} ({})", outcome.code, strsignal(outcome.code)));
}

}  // namespace

runtime::SandboxSpec StepSpec(Engine& engine, const ImageSandbox& sandbox, const StepTask& task,
                              HandedMounts& handed, const base::CancelToken* cancel) {
  runtime::SandboxSpec spec = sandbox.Spec(runtime::ProcView::kFull);
  auto& mounts = spec.mounts.mounts;
  AddOwnModules(engine, sandbox.image(), handed, cancel);
  if (task.source != nullptr) {
    for (size_t i = 0; i < task.source->files.size(); ++i) {
      handed.Add(task.source->files[i].get(),
                 fmt::format("/rundlet/in/{}/{}.{}", task.source->table, i, task.source->format));
    }
  }
  ApplyNetwork(engine, task.network, spec, handed);
  mounts.push_back(rootfs::EnvironmentMount(*task.environment));
  if (!task.project.empty()) mounts.push_back({"/work", runtime::StorePath{task.project}});
  mounts.insert(mounts.end(), handed.mounts.begin(), handed.mounts.end());
  for (auto& [name, value] : spec.environment) {
    if (name == "PATH") value = "/env/bin:" + value;
  }
  SetVariable(spec, "VIRTUAL_ENV", "/env");
  SetVariable(spec, "PYTHONPATH", "/rundlet/python:/work");
  SetVariable(spec, "PYTHONUNBUFFERED", "1");
  SetThreads(spec, engine.config().cores);
  ApplyLimits(task.limits, spec);
  for (const auto& [name, value] : task.variables) SetVariable(spec, name, value);
  spec.argv = {"/env/bin/python", "-B", "/rundlet/python/rundlet_runner"};
  spec.cwd = "/work";
  spec.uid = kStepUser;
  spec.gid = kStepUser;
  return spec;
}

StepResult RunStep(Engine& engine, const StepTask& task, const LineCallback& log,
                   const base::CancelToken* cancel, StepUsage& usage) {
  const auto begin = std::chrono::steady_clock::now();
  const ImageSandbox sandbox(engine, *task.image);
  HandedMounts handed;
  const OutDirectory out = MakeOut(engine, task, handed);
  runtime::SandboxSpec spec = StepSpec(engine, sandbox, task, handed, cancel);
  spec.mounts.mounts.push_back(out.mount);
  const runtime::CheckedSpec checked = runtime::CheckSpec(std::move(spec));
  const base::UniqueFd input = base::MemoryFile("step-request", RequestFor(task).dump());
  std::vector<int> files;
  for (const StepInput& step_input : task.inputs) files.push_back(step_input.table->get());
  base::UniqueFd table;
  if (task.output == StepOutput::kTable) {
    table = NewTable(task.label);
    files.push_back(table.get());
  }
  const std::optional<double> timeout = IsOwn(task) ? ForeignTime(engine) : task.limits.timeout;
  std::optional<runtime::Sandbox> proxy;
  const CapturedOutcome outcome = RunCaptured(
      engine.launcher(),
      {.spec = &checked, .standard_input = input.get(), .files = files, .mounts = handed.numbers()},
      {.standard_output = log,
       .standard_error = log,
       .started =
           [&](runtime::Sandbox& running) {
             if (auto made = StartProxy(engine, task.network, running))
               proxy.emplace(*std::move(made));
           },
       .timeout = timeout},
      cancel);
  proxy.reset();
  usage = {.peak_memory = outcome.peak_memory,
           .cpu_time = outcome.user_time + outcome.system_time,
           .duration = std::chrono::steady_clock::now() - begin};
  if (outcome.timed_out) {
    throw Error(Fault::kStep, fmt::format("running step `{}`", task.label))
        .Because(TimedOut(*timeout))
        .Hint(IsOwn(task) ? kForeignTimeHint
                          : "give it more with `timeout` in `@rundlet.resources`");
  }
  const std::optional<std::string> text = ResultText(task, out.fd.get());
  if (!text.has_value()) throw EndedWithoutResult(task, checked.value(), outcome);
  StepResult result;
  try {
    result = ReadResult(task, *text);
  } catch (const Error& error) {
    throw WithLimit(error, checked.value(), outcome);
  }
  if (outcome.end != runtime::Outcome::End::kExited || outcome.code != 0)
    throw EndedWithoutResult(task, checked.value(), outcome);
  if (table.valid()) result.table = Seal(table, task.label);
  return result;
}

}  // namespace rundlet::engine
