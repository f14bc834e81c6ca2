#include "plans/plan/scans.h"

#include <algorithm>
#include <map>
#include <set>

namespace rundlet::plans {
namespace {

// Every consumer filters what it gets, so a scan may give more than one asks for, and must give the
// columns that its filter looks at.
class SelectionUnion {
 public:
  void Add(const Input& input) {
    if (input.columns) {
      columns_.insert(input.columns->begin(), input.columns->end());
      columns_.insert(input.filter_columns.begin(), input.filter_columns.end());
    } else {
      all_columns_ = true;
    }
    one_filter_ = one_filter_ && (empty_ || input.filter == filter_);
    filter_ = input.filter;
    empty_ = false;
  }

  ScanSelection Take() const {
    ScanSelection selection;
    if (!all_columns_ && !empty_) selection.columns.emplace(columns_.begin(), columns_.end());
    if (one_filter_) selection.filter = filter_;
    return selection;
  }

 private:
  bool empty_ = true;
  bool all_columns_ = false;
  bool one_filter_ = true;
  std::set<std::string> columns_;
  std::string filter_;
};

struct Draft {
  size_t node = 0;
  std::vector<size_t> consumers;
  bool runs = false;
  SelectionUnion selection;
};

}  // namespace

std::vector<PlannedScan> PlanScans(const std::vector<StepNode>& nodes,
                                   const std::vector<Decision>& decisions) {
  std::map<StepName, size_t> node_of;
  for (size_t i = 0; i < nodes.size(); ++i) node_of.emplace(nodes[i].step->name, i);
  std::map<TableName, Draft> sources;
  std::map<StepName, Draft> kept;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const bool runs = decisions[i].action == Action::kRun;
    for (const Input& input : nodes[i].step->inputs) {
      Draft* draft = nullptr;
      if (const auto* const table = std::get_if<TableName>(&input.table)) {
        draft = &sources[*table];
      } else if (const auto& step = std::get<StepName>(input.table);
                 runs && decisions[node_of.at(step)].action == Action::kCached) {
        draft = &kept[step];
        draft->node = node_of.at(step);
      }
      if (draft == nullptr) continue;
      if (draft->consumers.empty() || draft->consumers.back() != i) draft->consumers.push_back(i);
      draft->runs |= runs;
      if (runs) draft->selection.Add(input);
    }
  }
  std::vector<PlannedScan> scans;
  for (auto& [name, draft] : sources) {
    scans.push_back({name, 0, std::move(draft.consumers), draft.runs, draft.selection.Take()});
  }
  for (auto& [name, draft] : kept) {
    scans.push_back(
        {name, draft.node, std::move(draft.consumers), draft.runs, draft.selection.Take()});
  }
  return scans;
}

}  // namespace rundlet::plans
