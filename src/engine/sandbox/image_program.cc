#include "engine/sandbox/image_program.h"

#include "base/fs.h"
#include "base/walls.h"
#include "engine/sandbox/image_sandbox.h"
#include "engine/sandbox/sandbox_network.h"
#include "engine/sandbox/wanted_limits.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

constexpr uint64_t kForeignMemory = uint64_t{2} << 30;

// Where the host can enforce it; elsewhere such code is as a step without limits.
void LimitForeignCode(Engine& engine, runtime::SandboxSpec& spec) {
  if (!base::Holds(base::Wall::kForeignMemory)) return;
  const runtime::Limits limits = {.memory = kForeignMemory, .cpus = {}, .pids = {}};
  try {
    engine.launcher().Require(limits);
    spec.limits = limits;
  } catch (const Error&) {
  }
}

runtime::SandboxSpec HostSpec(Engine& engine, const HostTools& tools, HandedMounts& handed) {
  runtime::SandboxSpec spec;
  spec.hostname = tools.hostname;
  spec.mounts.mounts = WorkerRoot(handed);
  spec.ids = engine.config().ids;
  return spec;
}

// `image`: what holds the layers of its root.
runtime::SandboxSpec SpecFor(Engine& engine, ImageProgram& program,
                             std::optional<ImageSandbox>& image) {
  const auto* tools = std::get_if<HostTools>(&program.root);
  if (tools == nullptr) image.emplace(engine, *std::get<const rootfs::Image*>(program.root));
  runtime::SandboxSpec spec = AddProgram(
      program, tools == nullptr ? image->Spec() : HostSpec(engine, *tools, program.handed));
  if (std::holds_alternative<ForeignLimits>(program.limits)) LimitForeignCode(engine, spec);
  if (const auto* network = std::get_if<plans::Network>(&program.network))
    ApplyNetwork(engine, *network, spec, program.handed);
  const auto& handed = program.handed.mounts;
  spec.mounts.mounts.insert(spec.mounts.mounts.end(), handed.begin(), handed.end());
  return spec;
}

std::optional<runtime::Sandbox> Serve(Engine& engine, const ImageProgram& program,
                                      runtime::Sandbox& running) {
  if (const auto* gate = std::get_if<const IndexGate*>(&program.network))
    return (*gate)->Serve(running);
  return StartProxy(engine, std::get<plans::Network>(program.network), running);
}

}  // namespace

bool ProgramEnd::Succeeded() const {
  return end == runtime::Outcome::End::kExited && code == 0 && !timed_out;
}

std::optional<double> ForeignTime(Engine& engine) {
  if (!base::Holds(base::Wall::kForeignTime)) return std::nullopt;
  return engine.config().python_timeout;
}

runtime::SandboxSpec AddProgram(const ImageProgram& program, runtime::SandboxSpec spec) {
  const rootfs::ProgramCommand& command = program.command;
  if (program.packages.has_value()) UseEnvironment(spec, *program.packages);
  spec.mounts.mounts.insert(spec.mounts.mounts.end(), command.mounts.begin(), command.mounts.end());
  spec.argv = command.argv;
  if (!command.environment.empty()) spec.environment = command.environment;
  spec.cwd = command.cwd;
  spec.uid = program.user;
  spec.gid = program.user;
  if (std::holds_alternative<const IndexGate*>(program.network))
    spec.network = runtime::Network::kProxied;
  if (const auto* own = std::get_if<OwnLimits>(&program.limits))
    ApplyLimits({.memory = own->memory, .cpus = {}, .pids = {}, .disk = {}, .timeout = {}}, spec);
  return spec;
}

ProgramEnd RunProgram(Engine& engine, ImageProgram program, const base::CancelToken* cancel) {
  std::optional<ImageSandbox> image;
  const runtime::CheckedSpec spec = runtime::CheckSpec(SpecFor(engine, program, image));
  const base::UniqueFd input = base::MemoryFile("program-input", program.command.input);
  ProgramEnd end;
  Tail errors(program.errors_limit);
  const auto keep = [&](std::string_view line) {
    if (end.output.size() < program.output_limit) end.output.append(line).append("\n");
  };
  const auto* own = std::get_if<OwnLimits>(&program.limits);
  std::optional<runtime::Sandbox> serving;
  static_cast<CapturedOutcome&>(end) =
      RunCaptured(engine.launcher(),
                  {.spec = &spec,
                   .standard_input = input.get(),
                   .files = program.files,
                   .mounts = program.handed.numbers()},
                  {.standard_output = program.take_line ? program.take_line : keep,
                   .standard_error = [&](std::string_view line) { errors.AddLine(line); },
                   .started =
                       [&](runtime::Sandbox& running) {
                         if (auto made = Serve(engine, program, running))
                           serving.emplace(*std::move(made));
                       },
                   .line_limit = program.line_limit,
                   .timeout = own == nullptr ? ForeignTime(engine) : own->timeout},
                  cancel);
  if (end.timed_out && own == nullptr) {
    OutOfTime late(Fault::kInvalid, std::get<ForeignLimits>(program.limits).attempt);
    late.Because("it " + TimedOut(engine.config().python_timeout)).SetHint(kForeignTimeHint);
    throw late;
  }
  end.errors = errors.text();
  end.limit = StruckLimit(spec.value(), end);
  return end;
}

}  // namespace rundlet::engine
