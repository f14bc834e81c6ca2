#include "plans/plan/planner.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "plans/invalid_pipeline.h"
#include "plans/plan/decide.h"
#include "plans/plan/packages.h"
#include "plans/plan/scans.h"
#include "plans/plan/step_graph.h"
#include "plans/shown_text.h"

namespace rundlet::plans {
namespace {

TaskKind TaskKindOf(StepKind kind) {
  switch (kind) {
    case StepKind::kPython:
      return TaskKind::kPython;
    case StepKind::kSql:
      return TaskKind::kSql;
    case StepKind::kExpectation:
      return TaskKind::kExpect;
  }
  return TaskKind::kPython;
}

void CheckImages(const Pipeline& pipeline, const std::vector<StepNode>& nodes, const Facts& facts) {
  std::vector<Problem> problems;
  for (const StepNode& node : nodes) {
    const Step& step = *node.step;
    const std::string& found = FactsOf(facts, step.image).version;
    if (!step.version || found == *step.version || found.starts_with(*step.version + ".")) continue;
    problems.push_back(
        {.file = step.place.file,
         .line = step.place.line,
         .message = fmt::format("step `{}` asks for Python {}", step.name.text(), *step.version),
         .cause = fmt::format("its image `{}` ({}) has Python {}", step.image.text(),
                              pipeline.config.images.at(step.image), found),
         .hint = fmt::format("name an image with Python {} below [images]", *step.version)});
  }
  if (!problems.empty()) throw InvalidPipeline(std::move(problems));
}

class TaskBuilder {
 public:
  TaskBuilder(const Pipeline& pipeline, const Facts& facts, std::vector<StepNode> nodes,
              std::vector<Decision> decisions)
      : pipeline_(pipeline),
        facts_(facts),
        nodes_(std::move(nodes)),
        decisions_(std::move(decisions)),
        scans_(PlanScans(nodes_, decisions_)),
        step_tasks_(nodes_.size()) {}

  Plan Build() {
    AddPackages();
    packages_.Emit(facts_, plan_.tasks);
    for (size_t i = 0; i < scans_.size(); ++i) {
      if (std::holds_alternative<TableName>(scans_[i].table)) AddScan(i);
    }
    for (size_t i = 0; i < nodes_.size(); ++i) {
      AddStep(i);
      const auto kept = kept_scan_of_.find(i);
      if (kept != kept_scan_of_.end()) AddScan(kept->second);
    }
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].step->materialize != Materialize::kNone) AddMaterialize(i);
    }
    return std::move(plan_);
  }

 private:
  const ImageFacts& EngineFacts() const { return FactsOf(facts_, pipeline_.engine_image); }

  std::vector<Packages::Index> AddEnginePackages(const std::string& user, Action action) {
    return packages_.Add(EngineFacts().engine, EngineFacts().interpreter, pipeline_.engine_image,
                         user, action);
  }

  void AddPackages() {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const Step& step = *nodes_[i].step;
      const Action action = decisions_[i].action;
      step_packages_.push_back(packages_.Add(EnvironmentOf(facts_, step),
                                             FactsOf(facts_, step.image).interpreter, step.image,
                                             step.name.text(), action));
      if (step.materialize != Materialize::kNone)
        engine_packages_ = AddEnginePackages(step.name.text(), action);
    }
    for (size_t i = 0; i < scans_.size(); ++i) {
      const PlannedScan& scan = scans_[i];
      engine_packages_ =
          AddEnginePackages(NameOf(scan.table), scan.runs ? Action::kRun : Action::kNotNeeded);
      if (std::holds_alternative<StepName>(scan.table)) kept_scan_of_.emplace(scan.node, i);
    }
  }

  TaskId Append(Task task) {
    std::sort(task.needs.begin(), task.needs.end());
    task.needs.erase(std::unique(task.needs.begin(), task.needs.end()), task.needs.end());
    const TaskId id{static_cast<uint32_t>(plan_.tasks.size())};
    plan_.tasks.push_back(std::move(task));
    return id;
  }

  void AddScan(size_t index) {
    const PlannedScan& scan = scans_[index];
    Task task;
    task.kind = TaskKind::kScan;
    task.name = NameOf(scan.table);
    task.image = pipeline_.engine_image;
    task.selection = scan.selection;
    packages_.AppendTasks(engine_packages_, task.needs);
    base::Digest of;
    if (const auto* const table = std::get_if<TableName>(&scan.table)) {
      task.table = *table;
      task.bytes = facts_.sources.at(*table).bytes;
      of = SourceFingerprint(pipeline_, *table, facts_);
    } else {
      const Decision& decision = decisions_[scan.node];
      task.step = std::get<StepName>(scan.table);
      task.kept_result = true;
      task.bytes = decision.kept->bytes;
      task.needs.push_back(step_tasks_[scan.node]);
      of = decision.fingerprint;
    }
    task.fingerprint = ScanFingerprint(of, scan.selection);
    task.action = scan.runs ? Action::kRun : Action::kNotNeeded;
    task.reason = ScanReason(scan);
    scan_tasks_.emplace(scan.table, Append(std::move(task)));
  }

  base::Digest ScanFingerprint(const base::Digest& of, const ScanSelection& selection) const {
    base::Sha256 hash;
    hash.AddField("rundlet scan 1");
    hash.AddField(of.hex());
    hash.AddField(EngineFacts().interpreter.hex());
    hash.AddField(EngineFacts().engine.digest.hex());
    hash.AddField(selection.filter);
    hash.AddField(selection.columns ? "columns" : "all");
    if (selection.columns) {
      for (const std::string& column : *selection.columns) hash.AddField(column);
    }
    return hash.Finish();
  }

  std::string ScanReason(const PlannedScan& scan) const {
    if (!scan.runs) return "nothing that runs reads it";
    std::vector<std::string> readers;
    for (const size_t consumer : scan.consumers) {
      if (decisions_[consumer].action == Action::kRun)
        readers.push_back(nodes_[consumer].step->name.text());
    }
    return fmt::format("read by {}", NameSome(readers, 2));
  }

  void AddStep(size_t i) {
    const Step& step = *nodes_[i].step;
    Decision& decision = decisions_[i];
    Task task;
    task.kind = TaskKindOf(step.kind);
    task.action = decision.action;
    task.name = step.name.text();
    task.step = step.name;
    task.image = step.image;
    task.fingerprint = decision.fingerprint;
    task.reason = decision.reason;
    task.kept_result = kept_scan_of_.contains(i);
    task.result = decision.kept;
    packages_.AppendTasks(step_packages_[i], task.needs);
    for (const Input& input : step.inputs) {
      // A kept result is read by its scan, but only for those that run: its reader may come before
      // it otherwise.
      const auto scan = scan_tasks_.find(input.table);
      const bool source = std::holds_alternative<TableName>(input.table);
      if (scan != scan_tasks_.end() && (source || decision.action == Action::kRun))
        task.needs.push_back(scan->second);
    }
    for (const size_t input : nodes_[i].inputs) {
      const bool scanned =
          decision.action == Action::kRun && decisions_[input].action == Action::kCached;
      if (!scanned) task.needs.push_back(step_tasks_[input]);
    }
    step_tasks_[i] = Append(std::move(task));
    plan_.steps.push_back(
        {step.name, step_tasks_[i], std::move(decision.parts), decision.always_runs});
  }

  void AddMaterialize(size_t i) {
    const Step& step = *nodes_[i].step;
    const Decision& decision = decisions_[i];
    Task task;
    task.kind = TaskKind::kMaterialize;
    task.action = decision.action;
    task.name = step.name.text();
    task.step = step.name;
    task.image = pipeline_.engine_image;
    task.result = decision.kept;
    if (decision.action == Action::kRun) {
      task.reason =
          step.materialize == Materialize::kAppend ? "appends to the table" : "replaces the table";
    } else {
      task.reason = decision.reason;
    }
    packages_.AppendTasks(engine_packages_, task.needs);
    task.needs.push_back(step_tasks_[i]);
    for (const size_t consumer : nodes_[i].consumers) {
      if (nodes_[consumer].step->kind == StepKind::kExpectation)
        task.needs.push_back(step_tasks_[consumer]);
    }
    base::Sha256 hash;
    hash.AddField("rundlet materialize 1");
    hash.AddField(decision.fingerprint.hex());
    hash.AddField(NameOf(step.materialize));
    hash.AddField(EngineFacts().interpreter.hex());
    hash.AddField(EngineFacts().engine.digest.hex());
    task.fingerprint = hash.Finish();
    Append(std::move(task));
  }

  const Pipeline& pipeline_;
  const Facts& facts_;
  std::vector<StepNode> nodes_;
  std::vector<Decision> decisions_;
  std::vector<PlannedScan> scans_;
  Packages packages_;
  std::vector<std::vector<Packages::Index>> step_packages_;
  std::vector<Packages::Index> engine_packages_;
  std::map<size_t, size_t> kept_scan_of_;  // node -> scan
  std::map<InputTable, TaskId> scan_tasks_;
  std::vector<TaskId> step_tasks_;  // by node
  Plan plan_;
};

}  // namespace

Plan MakePlan(const Pipeline& pipeline, const Facts& facts, const PlanOptions& options) {
  std::vector<StepNode> nodes = OrderSteps(pipeline, options.only);
  CheckImages(pipeline, nodes, facts);
  std::vector<Decision> decisions = DecideSteps(pipeline, nodes, facts, options);
  return TaskBuilder(pipeline, facts, std::move(nodes), std::move(decisions)).Build();
}

}  // namespace rundlet::plans
