#include "engine/run/step_sandbox.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "engine/project/step_values.h"

namespace rundlet::engine {
namespace {

using nlohmann::json;

constexpr const char* kSandboxesFile = "sandboxes.json";
constexpr size_t kSandboxesLimit = 64 << 20;

const rootfs::Lock& LockOf(const PlannedProject& planned, const plans::Step& step) {
  return step.kind == plans::StepKind::kSql ? planned.engine_locks.at(step.image)
                                            : planned.locks.at(step.name);
}

InputOrigin OriginOf(const PlannedProject& planned, const plans::PlannedStep& step,
                     const plans::Input& input) {
  InputOrigin origin = {.name = plans::NameOf(input.table)};
  if (const auto* source = std::get_if<plans::TableName>(&input.table)) {
    origin.paths = planned.sources.at(*source);
    origin.format = plans::NameOf(planned.pipeline.config.tables.at(*source).format);
    origin.content = planned.source_contents.at(*source);
    return origin;
  }
  const auto part = std::find_if(
      step.parts.begin(), step.parts.end(), [&input](const plans::FingerprintPart& one) {
        return one.kind == plans::PartKind::kInput && one.name == input.argument;
      });
  RUNDLET_CHECK(part != step.parts.end());
  origin.content = base::Digest::Parse(part->value).value();
  return origin;
}

// Texts that several steps share, each once.
class TextList {
 public:
  size_t Add(const std::string& text) {
    const auto [at, added] = index_.emplace(text, list_.size());
    if (added) list_.push_back(json::parse(text));
    return at->second;
  }
  const json& list() const { return list_; }

 private:
  std::map<std::string, size_t> index_;
  json list_ = json::array();
};

// Of all steps together: a source table may have many files.
json SourcesOf(const std::vector<StepSandbox>& sandboxes) {
  json sources = json::object();
  for (const StepSandbox& sandbox : sandboxes) {
    for (const InputOrigin& input : sandbox.inputs) {
      if (!input.paths.empty() && !sources.contains(input.name))
        sources[input.name] = {{"paths", input.paths}, {"format", input.format}};
    }
  }
  return sources;
}

template <typename Value>
json OrNull(const std::optional<Value>& value) {
  return value.has_value() ? json(*value) : json();
}

template <typename Value>
std::optional<Value> Optional(const json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<Value>());
}

json LimitsToJson(const WantedLimits& limits) {
  return {{"memory", OrNull(limits.memory)},
          {"cpus", OrNull(limits.cpus)},
          {"pids", OrNull(limits.pids)},
          {"disk", OrNull(limits.disk)},
          {"timeout", OrNull(limits.timeout)}};
}

WantedLimits LimitsFromJson(const json& limits) {
  return {.memory = Optional<uint64_t>(limits.at("memory")),
          .cpus = Optional<double>(limits.at("cpus")),
          .pids = Optional<uint32_t>(limits.at("pids")),
          .disk = Optional<uint64_t>(limits.at("disk")),
          .timeout = Optional<double>(limits.at("timeout"))};
}

json ToJson(const StepSandbox& sandbox, TextList& images, TextList& locks) {
  json inputs = json::array();
  for (const InputOrigin& input : sandbox.inputs)
    inputs.push_back({{"name", input.name}, {"content", input.content.hex()}});
  return {{"step", sandbox.step},
          {"image", images.Add(rootfs::EncodeImage(sandbox.image))},
          {"lock", locks.Add(rootfs::EncodeLock(sandbox.lock))},
          {"preferred", sandbox.lock.preferred},
          {"variables", sandbox.variables},
          {"parameters", json::parse(sandbox.parameters)},
          {"network", sandbox.network.text()},
          {"limits", LimitsToJson(sandbox.limits)},
          {"inputs", std::move(inputs)}};
}

StepSandbox FromJson(const json& document, const json& step) {
  const json& image = document.at("images").at(step.at("image").get<size_t>());
  StepSandbox sandbox = {
      .step = step.at("step"),
      .image = rootfs::DecodeImage(image.dump(), image.at("name")),
      .lock = {},
      .variables = step.at("variables"),
      .parameters = step.at("parameters").dump(),
      .network =
          plans::ParseNetwork(step.at("network").get<std::string>()).value_or(plans::Network{}),
      .limits = LimitsFromJson(step.at("limits")),
      .inputs = {}};
  sandbox.lock = rootfs::DecodeLock(document.at("locks").at(step.at("lock").get<size_t>()).dump());
  sandbox.lock.preferred = step.at("preferred");
  const json& sources = document.at("sources");
  for (const json& input : step.at("inputs")) {
    InputOrigin origin = {.name = input.at("name")};
    origin.content =
        base::Digest::Parse(input.at("content").get<std::string>()).value_or(base::Digest());
    if (const auto source = sources.find(origin.name); source != sources.end()) {
      origin.paths = source->at("paths");
      origin.format = source->at("format");
    }
    sandbox.inputs.push_back(std::move(origin));
  }
  return sandbox;
}

StepSandbox Choose(const json& document, const data::RunRecord& run, const std::string& name) {
  std::vector<std::string> names;
  for (const json& step : document.at("steps")) {
    names.push_back(step.at("step"));
    if (names.back() == name) return FromJson(document, step);
  }
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("looking for step `{}`", base::Printable(name)))
      .Because(fmt::format("run `{}` had none of that name", run.id))
      .Hint("it had " + base::Join(names, ", "));
}

}  // namespace

StepSandbox SandboxOf(const PlannedProject& planned, const plans::PlannedStep& planned_step) {
  const plans::Step& step = *plans::FindStep(planned.pipeline, planned_step.name);
  StepSandbox sandbox = {.step = step.name.text(),
                         .image = planned.images.at(step.image),
                         .lock = LockOf(planned, step),
                         .variables = {step.environment.begin(), step.environment.end()},
                         .parameters = ParametersOf(step, planned.parameters),
                         .network = step.network,
                         .limits = LimitsOf(step),
                         .inputs = {}};
  for (const plans::Input& input : step.inputs) {
    const bool known = std::any_of(
        sandbox.inputs.begin(), sandbox.inputs.end(),
        [&input](const InputOrigin& one) { return one.name == plans::NameOf(input.table); });
    if (!known) sandbox.inputs.push_back(OriginOf(planned, planned_step, input));
  }
  return sandbox;
}

void RecordSandboxes(const data::Run& run, const PlannedProject& planned) {
  TextList images;
  TextList locks;
  std::vector<StepSandbox> sandboxes;
  for (const plans::PlannedStep& step : planned.plan.steps)
    sandboxes.push_back(SandboxOf(planned, step));
  json steps = json::array();
  for (const StepSandbox& sandbox : sandboxes) steps.push_back(ToJson(sandbox, images, locks));
  const json document = {{"version", 1},
                         {"images", images.list()},
                         {"locks", locks.list()},
                         {"sources", SourcesOf(sandboxes)},
                         {"steps", std::move(steps)}};
  // Paths of source tables may be any bytes.
  const std::string text = document.dump(-1, ' ', false, json::error_handler_t::replace);
  base::ReplaceAt(run.dir(), kSandboxesFile, text + "\n", 0600, base::Durability::kNone);
}

StepSandbox RecordedSandbox(store::Store& store, const data::RunRecord& run,
                            const std::string& step) {
  const std::string path = fmt::format("runs/{}/{}", run.id, kSandboxesFile);
  const auto file = base::TryOpenAt(store.dir(), path, O_RDONLY);
  if (!file.has_value()) {
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("making a sandbox of run `{}` again", run.id))
        .Because(
            "there is no record of them: it was killed while it began, or an earlier rundlet "
            "made it");
  }
  try {
    return Choose(json::parse(base::ReadFd(file->get(), kSandboxesLimit, path)), run, step);
  } catch (const json::exception& error) {
    throw base::Error(base::Fault::kHost, fmt::format("reading `{}`", path)).Because(error.what());
  }
}

}  // namespace rundlet::engine
