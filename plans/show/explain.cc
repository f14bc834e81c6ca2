#include "plans/show/explain.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "plans/show/display_order.h"
#include "plans/show/lanes.h"
#include "plans/shown_text.h"

namespace rundlet::plans {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kMaxLanes = 8;
constexpr size_t kMaxName = 24;      // columns; a longer name gets a row of its own
constexpr size_t kMaxPackages = 5;   // shown for a step
constexpr size_t kMaxInstalls = 20;  // shown below the picture
constexpr size_t kMaxReads = 5;
constexpr size_t kMaxPackageName = 28;  // columns
constexpr size_t kSizeWidth = 8;        // of "1023 MiB"

// A source table or a step.
struct Entry {
  std::string name;
  std::string mark;
  std::vector<std::string> details;
  std::vector<std::string> reads;  // names of tables
};

std::string ActionText(const Task& task) {
  switch (task.action) {
    case Action::kRun:
      return fmt::format("run: {}", task.reason);
    case Action::kCached:
      return fmt::format("cached: {}", task.reason);
    case Action::kNotNeeded:
      return fmt::format("not needed: {}", task.reason);
  }
  return {};
}

// PEP 503, of the name that a requirement starts with.
std::string RequiredName(std::string_view requirement) {
  std::string name;
  for (const char c : requirement) {
    if (c == '-' || c == '_' || c == '.') {
      if (!name.ends_with('-')) name += '-';
    } else if (IsAsciiLetter(c) || IsAsciiDigit(c)) {
      name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    } else {
      break;
    }
  }
  return name;
}

// Those that the author asked for first; the others are counted.
std::string PackagesText(const Step& step, const FingerprintParts& parts) {
  std::map<std::string_view, std::string_view> versions;
  for (const FingerprintPart& part : parts) {
    if (part.kind == PartKind::kPackage) versions.emplace(part.name, part.shown);
  }
  if (versions.empty()) return "no packages";
  const size_t all = versions.size();
  std::string text;
  size_t shown = 0;
  const auto show = [&](std::string_view name) {
    const auto found = versions.find(name);
    if (found == versions.end() || shown == kMaxPackages) return;
    text += fmt::format("{}{} {}", shown++ == 0 ? "" : ", ", found->first, found->second);
    versions.erase(found);
  };
  for (const std::string& requirement : step.requirements) show(RequiredName(requirement));
  if (shown == 0) {
    while (!versions.empty() && shown < kMaxPackages) show(std::string(versions.begin()->first));
  }
  if (shown < all) text += fmt::format(" and {} more", all - shown);
  return text;
}

std::string_view PythonOf(const FingerprintParts& parts) {
  for (const FingerprintPart& part : parts) {
    if (part.kind == PartKind::kImage) return part.shown;
  }
  return {};
}

std::string WhatText(const Step& step, const FingerprintParts& parts) {
  std::string text;
  if (step.kind != StepKind::kPython) text = fmt::format("{}, ", NameOf(step.kind));
  text += fmt::format("python {} (image {})", PythonOf(parts), step.image.text());
  if (step.materialize != Materialize::kNone) text += fmt::format(", {}", NameOf(step.materialize));
  if (step.network.level != Network::Level::kNone)
    text += fmt::format(", network {}", step.network.text());
  return text;
}

Entry EntryOf(const Pipeline& pipeline, const Plan& plan, const PlannedStep& planned) {
  const Step* const step = FindStep(pipeline, planned.name);
  RUNDLET_CHECK(step != nullptr);
  const Task& task = plan.task(planned.task);
  Entry entry;
  entry.name = step->name.text();
  entry.mark = task.action == Action::kRun ? "●" : "○";
  entry.details = {WhatText(*step, planned.parts), PackagesText(*step, planned.parts),
                   ActionText(task)};
  for (const Input& input : step->inputs) entry.reads.push_back(NameOf(input.table));
  std::sort(entry.reads.begin(), entry.reads.end());
  entry.reads.erase(std::unique(entry.reads.begin(), entry.reads.end()), entry.reads.end());
  return entry;
}

Entry EntryOf(const Pipeline& pipeline, const Task& scan) {
  const SourceTable& table = pipeline.config.tables.at(scan.table);
  Entry entry;
  entry.name = scan.table.text();
  entry.mark = "□";
  entry.details = {
      fmt::format("{} {}, {}", NameOf(table.format), table.path, base::HumanBytes(scan.bytes)),
      ActionText(scan)};
  return entry;
}

struct Picture {
  std::vector<Entry> entries;  // in the order of display
  std::vector<LaneRow> rows;   // of each
};

Picture Arrange(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  std::map<std::string_view, size_t> index;
  for (size_t i = 0; i < entries.size(); ++i) index.emplace(entries[i].name, i);
  std::vector<std::vector<size_t>> inputs(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    for (const std::string& name : entries[i].reads) inputs[i].push_back(index.at(name));
  }
  const std::vector<size_t> order = OrderForDisplay(inputs);
  std::vector<size_t> position(entries.size());
  for (size_t i = 0; i < order.size(); ++i) position[order[i]] = i;
  std::vector<LaneNode> nodes;
  for (const size_t entry : order) {
    LaneNode node{{}, entries[entry].mark};
    for (const size_t input : inputs[entry]) node.inputs.push_back(position[input]);
    nodes.push_back(std::move(node));
  }
  Picture picture;
  for (const size_t entry : order) picture.entries.push_back(std::move(entries[entry]));
  if (auto rows = DrawLanes(nodes, kMaxLanes)) {
    picture.rows = *std::move(rows);
    return picture;
  }
  // Too wide to draw: say in words what each one reads.
  for (Entry& entry : picture.entries) {
    picture.rows.push_back({entry.mark, ""});
    if (!entry.reads.empty()) {
      entry.details.insert(entry.details.begin(),
                           fmt::format("reads {}", NameSome(entry.reads, kMaxReads)));
    }
  }
  return picture;
}

void AddRow(std::string& text, std::string row) {
  row.erase(row.find_last_not_of(' ') + 1);
  text += row + "\n";
}

std::string Pad(std::string_view text, size_t columns) {
  const size_t width = Columns(text);
  return std::string(text) + std::string(columns > width ? columns - width : 0, ' ');
}

std::string Draw(const Picture& picture) {
  size_t graph_width = 0;
  size_t name_width = 0;
  for (size_t i = 0; i < picture.entries.size(); ++i) {
    graph_width =
        std::max({graph_width, Columns(picture.rows[i].first), Columns(picture.rows[i].rest)});
    const size_t columns = Columns(picture.entries[i].name);
    if (columns <= kMaxName) name_width = std::max(name_width, columns);
  }
  graph_width += 2;
  name_width += 2;
  std::string text;
  for (size_t i = 0; i < picture.entries.size(); ++i) {
    const Entry& entry = picture.entries[i];
    const std::string rest = Pad(picture.rows[i].rest, graph_width);
    std::string start = Pad(picture.rows[i].first, graph_width);
    if (Columns(entry.name) + 2 <= name_width) {
      start += Pad(entry.name, name_width);
    } else {
      AddRow(text, start + Cut(entry.name, kWidth - graph_width));
      start = rest + std::string(name_width, ' ');
    }
    for (const std::string& detail : entry.details) {
      for (const std::string& line : Wrap(OneLine(detail), kWidth - graph_width - name_width)) {
        AddRow(text, start + line);
        start = rest + std::string(name_width, ' ');
      }
    }
  }
  return text;
}

// "pandas 2.2.3", with its image where the plan installs for several.
std::vector<std::string> NamesOf(const std::vector<const Task*>& installs) {
  std::set<ImageName> images;
  for (const Task* install : installs) images.insert(install->image);
  std::vector<std::string> names;
  for (const Task* install : installs) {
    names.push_back(OneLine(install->name));
    if (images.size() > 1) names.back() += fmt::format(" on {}", install->image.text());
  }
  return names;
}

std::string InstallRows(const Plan& plan, const std::vector<const Task*>& installs) {
  const std::vector<std::string> names = NamesOf(installs);
  const size_t shown = std::min(installs.size(), kMaxInstalls);
  size_t width = 0;
  for (size_t i = 0; i < shown; ++i) width = std::max(width, Columns(names[i]));
  width = std::min(width, kMaxPackageName);
  std::string text;
  for (size_t i = 0; i < shown; ++i) {
    const Task& task = *installs[i];
    const bool fetch = plan.task(task.needs.front()).action == Action::kRun;
    const std::string size = fetch ? base::HumanBytes(task.bytes) : "fetched";
    const std::string row = fmt::format("  {}  {}  {}", Pad(Cut(names[i], width), width),
                                        Pad(size, kSizeWidth), OneLine(task.reason));
    AddRow(text, Cut(row, kWidth));
  }
  if (installs.size() > shown) text += fmt::format("  and {} more\n", installs.size() - shown);
  return text;
}

std::string PackagesSection(const Plan& plan) {
  std::vector<const Task*> installs;  // to do
  size_t installed = 0;
  size_t fetches = 0;
  uint64_t bytes = 0;
  for (const Task& task : plan.tasks) {
    if (task.kind == TaskKind::kFetch && task.action == Action::kRun) {
      ++fetches;
      bytes += task.bytes;
    } else if (task.kind == TaskKind::kInstall) {
      if (task.action == Action::kRun) installs.push_back(&task);
      installed += task.action == Action::kCached ? 1 : 0;
    }
  }
  std::string text =
      fmt::format("packages: {} installed, {} to install", installed, installs.size());
  if (fetches > 0) text += fmt::format(", {} to fetch ({})", fetches, base::HumanBytes(bytes));
  return text + "\n" + InstallRows(plan, installs);
}

std::string Heading(const Pipeline& pipeline, const Plan& plan) {
  const StepCounts counts = CountSteps(plan);
  const std::string text =
      fmt::format("{}, {} to run, {} cached, {} not needed\n\n", Count(plan.steps.size(), "step"),
                  counts.run, counts.cached, counts.not_needed);
  const std::string& name = pipeline.config.name;
  return name.empty() ? text : fmt::format("{}: {}", Cut(name, kMaxName), text);
}

}  // namespace

std::string ExplainPlan(const Pipeline& pipeline, const Plan& plan) {
  std::vector<Entry> entries;
  for (const Task& task : plan.tasks) {
    if (task.kind == TaskKind::kScan && !task.table.empty())
      entries.push_back(EntryOf(pipeline, task));
  }
  for (const PlannedStep& step : plan.steps) entries.push_back(EntryOf(pipeline, plan, step));
  return Heading(pipeline, plan) + Draw(Arrange(std::move(entries))) + "\n" + PackagesSection(plan);
}

}  // namespace rundlet::plans
