#include "plans/plan/decide.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/error.h"
#include "plans/shown_text.h"

namespace rundlet::plans {
namespace {

constexpr size_t kMaxChanges = 3;  // that a reason tells

std::string SelectionOf(const Input& input) {
  base::Sha256 hash;
  hash.AddField(input.columns ? "columns" : "all");
  hash.AddField(fmt::format("{}", input.columns ? input.columns->size() : 0));
  if (input.columns) {
    for (const std::string& column : *input.columns) hash.AddField(column);
  }
  hash.AddField(input.filter);
  return hash.Finish().hex();
}

class Decider {
 public:
  Decider(const Pipeline& pipeline, const std::vector<StepNode>& nodes, const Facts& facts,
          const PlanOptions& options)
      : pipeline_(pipeline),
        nodes_(nodes),
        facts_(facts),
        options_(options),
        decisions_(nodes.size()) {
    for (size_t i = 0; i < nodes.size(); ++i) node_of_.emplace(nodes[i].step->name, i);
  }

  std::vector<Decision> Run() {
    for (size_t i = 0; i < nodes_.size(); ++i) Fingerprint(i);
    for (size_t i = nodes_.size(); i-- > 0;) ChooseAction(i);
    for (size_t i = 0; i < nodes_.size(); ++i) decisions_[i].reason = ReasonFor(i);
    return std::move(decisions_);
  }

 private:
  void Fingerprint(size_t i) {
    const Step& step = *nodes_[i].step;
    Decision& decision = decisions_[i];
    decision.parts = PartsOf(step);
    decision.fingerprint = FingerprintOf(decision.parts);
    decision.always_runs = step.network.level != Network::Level::kNone ||
                           step.materialize == Materialize::kAppend || VolatileInput(i) != nullptr;
    const bool keeps =
        step.kind == StepKind::kExpectation || step.materialize == Materialize::kReplace;
    if (!keeps || decision.always_runs || options_.ignore_results) return;
    const auto found = facts_.results.find(decision.fingerprint);
    if (found != facts_.results.end()) decision.kept = found->second;
  }

  FingerprintParts PartsOf(const Step& step) const {
    const ImageFacts& image = FactsOf(facts_, step.image);
    const Environment& environment = EnvironmentOf(facts_, step);
    FingerprintParts parts;
    parts.reserve(6 + environment.distributions.size() + step.parameters.size() +
                  2 * step.inputs.size());
    parts.push_back(
        {PartKind::kStep, {}, fmt::format("{} {}", NameOf(step.kind), step.name.text()), {}});
    parts.push_back({PartKind::kCode, {}, step.code.hex(), {}});
    parts.push_back({PartKind::kImage, {}, image.interpreter.hex(), image.version});
    for (const Distribution& package : environment.distributions) {
      parts.push_back({PartKind::kPackage, package.name, package.version, package.version});
    }
    parts.push_back({PartKind::kEnvironment, {}, environment.digest.hex(), {}});
    AddParameters(step, parts);
    for (const Input& input : step.inputs) {
      parts.push_back(
          {PartKind::kInput, input.argument, InputFingerprint(input).hex(), NameOf(input.table)});
      parts.push_back(
          {PartKind::kSelection, input.argument, SelectionOf(input), NameOf(input.table)});
    }
    for (const auto& [name, value] : step.environment) {
      parts.push_back({PartKind::kVariable, name, base::Digest::Of(value).hex(), {}});
    }
    parts.push_back({PartKind::kProtocol, {}, std::string(kStepProtocol), {}});
    const auto key = [](const FingerprintPart& part) { return std::tie(part.kind, part.name); };
    std::sort(parts.begin(), parts.end(),
              [&](const auto& a, const auto& b) { return key(a) < key(b); });
    // Two arguments may take one parameter.
    const auto same = [&](const auto& a, const auto& b) { return key(a) == key(b); };
    parts.erase(std::unique(parts.begin(), parts.end(), same), parts.end());
    return parts;
  }

  void AddParameters(const Step& step, FingerprintParts& parts) const {
    for (const ParameterUse& use : step.parameters) {
      const auto found = options_.parameters.find(use.name);
      RUNDLET_CHECK(found != options_.parameters.end());
      const std::string text = ToText(found->second);
      parts.push_back({PartKind::kParameter, use.name.text(),
                       fmt::format("{} {}", NameOf(TypeOf(found->second)), text), text});
    }
  }

  base::Digest InputFingerprint(const Input& input) const {
    if (const auto* const table = std::get_if<TableName>(&input.table)) {
      auto [cached, fresh] = sources_.try_emplace(*table);
      if (fresh) cached->second = SourceFingerprint(pipeline_, *table, facts_);
      return cached->second;
    }
    return decisions_[node_of_.at(std::get<StepName>(input.table))].fingerprint;
  }

  // The first input whose table may be another with every run.
  const Step* VolatileInput(size_t i) const {
    for (const size_t input : nodes_[i].inputs) {
      if (decisions_[input].always_runs) return nodes_[input].step;
    }
    return nullptr;
  }

  // Nodes come from the last to the first: their consumers are decided.
  void ChooseAction(size_t i) {
    const StepNode& node = nodes_[i];
    Decision& decision = decisions_[i];
    const bool wanted = node.step->kind == StepKind::kExpectation ||
                        node.step->materialize != Materialize::kNone ||
                        node.step->network.level != Network::Level::kNone ||
                        node.consumers.empty() || options_.ignore_results;
    const bool needed =
        std::any_of(node.consumers.begin(), node.consumers.end(),
                    [&](size_t consumer) { return decisions_[consumer].action == Action::kRun; });
    if (decision.kept) {
      decision.action = Action::kCached;
    } else {
      decision.action = wanted || needed ? Action::kRun : Action::kNotNeeded;
    }
  }

  std::string ReasonFor(size_t i) const {
    const Step& step = *nodes_[i].step;
    const Decision& decision = decisions_[i];
    switch (decision.action) {
      case Action::kRun:
        return ReasonToRun(i);
      case Action::kCached:
        return step.kind == StepKind::kExpectation ? "held in an earlier run"
                                                   : "result kept from an earlier run";
      case Action::kNotNeeded:
        return "nothing that runs reads it";
    }
    return {};
  }

  std::string ReasonToRun(size_t i) const {
    const Step& step = *nodes_[i].step;
    if (options_.ignore_results) return "--no-cache";
    if (step.network.level != Network::Level::kNone) return "has network access";
    if (step.materialize == Materialize::kAppend) return "appends on every run";
    if (const Step* input = VolatileInput(i))
      return fmt::format("input `{}` runs every time", input->name.text());
    const auto recorded = facts_.recorded.find(step.name);
    if (recorded == facts_.recorded.end()) return "new step";
    const auto changes = ChangesBetween(recorded->second, decisions_[i].parts);
    if (!changes.empty()) return Told(changes);
    if (step.kind == StepKind::kExpectation || step.materialize != Materialize::kNone) {
      return "no result kept from an earlier run";
    }
    std::vector<std::string> readers;
    for (const size_t consumer : nodes_[i].consumers) {
      if (decisions_[consumer].action == Action::kRun)
        readers.push_back(nodes_[consumer].step->name.text());
    }
    return readers.empty() ? "its result is not kept"
                           : fmt::format("read by {}", NameSome(readers, 2));
  }

  static std::string Told(const std::vector<std::string>& changes) {
    std::string text;
    for (size_t c = 0; c < std::min(changes.size(), kMaxChanges); ++c) {
      if (c > 0) text += ", ";
      text += changes[c];
    }
    if (changes.size() > kMaxChanges)
      text += fmt::format(" and {} more", changes.size() - kMaxChanges);
    return text;
  }

  const Pipeline& pipeline_;
  const std::vector<StepNode>& nodes_;
  const Facts& facts_;
  const PlanOptions& options_;
  std::vector<Decision> decisions_;
  std::map<StepName, size_t> node_of_;
  mutable std::map<TableName, base::Digest> sources_;  // several steps read one table
};

}  // namespace

const ImageFacts& FactsOf(const Facts& facts, const ImageName& image) {
  const auto found = facts.images.find(image);
  RUNDLET_CHECK(found != facts.images.end());
  return found->second;
}

const Environment& EnvironmentOf(const Facts& facts, const Step& step) {
  if (step.kind == StepKind::kSql) return FactsOf(facts, step.image).engine;
  const auto found = facts.environments.find(step.name);
  RUNDLET_CHECK(found != facts.environments.end());
  return found->second;
}

base::Digest SourceFingerprint(const Pipeline& pipeline, const TableName& table,
                               const Facts& facts) {
  const auto source = facts.sources.find(table);
  RUNDLET_CHECK(source != facts.sources.end());
  const ImageFacts& image = FactsOf(facts, pipeline.engine_image);
  base::Sha256 hash;
  hash.AddField("rundlet source 1");
  hash.AddField(source->second.content.hex());
  hash.AddField(NameOf(pipeline.config.tables.at(table).format));
  hash.AddField(image.interpreter.hex());
  hash.AddField(image.engine.digest.hex());
  hash.AddField(kStepProtocol);
  return hash.Finish();
}

std::vector<Decision> DecideSteps(const Pipeline& pipeline, const std::vector<StepNode>& nodes,
                                  const Facts& facts, const PlanOptions& options) {
  return Decider(pipeline, nodes, facts, options).Run();
}

}  // namespace rundlet::plans
