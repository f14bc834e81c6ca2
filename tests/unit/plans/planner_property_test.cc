// Properties of plans, on pipelines made by a seeded generator.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <set>

#include "base/text.h"
#include "plans/show/explain.h"
#include "plans/shown_text.h"
#include "tests/unit/plans/plans_of.h"

namespace rundlet::plans {
namespace {

using testing::AfterRun;
using testing::json;
using testing::PlanOf;
using testing::Read;

constexpr uint64_t kSeeds = 150;

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  size_t Below(size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random_);
  }
  bool OneIn(size_t count) { return Below(count) == 0; }

  template <typename Range>
  void Shuffle(Range& range) {
    std::shuffle(range.begin(), range.end(), random_);
  }

  json Document(size_t models) {
    std::vector<json> made;
    std::vector<json> expectations;
    std::vector<std::string> tables = {"flights"};
    for (size_t i = 0; i < models; ++i) {
      const std::string name = fmt::format("m{}", Below(1'000'000'000));
      if (std::find(tables.begin(), tables.end(), name) != tables.end()) continue;
      made.push_back(Step(name, tables));
      tables.push_back(name);
      if (OneIn(4)) expectations.push_back(testing::ModelJson("e_" + name, {name}));
    }
    return testing::ReaderJson(made, expectations);
  }

  void ShuffleDocument(json& document) {
    for (const char* list : {"models", "expectations"}) {
      Shuffle(document[list]);
      for (json& step : document[list]) {
        Shuffle(step["inputs"]);
        Shuffle(step["parameters"]);
      }
    }
  }

 private:
  json Step(const std::string& name, std::vector<std::string> tables) {
    Shuffle(tables);
    tables.resize(std::min(tables.size(), Below(4)));
    json step = OneIn(3) ? testing::SqlJson(name, tables) : testing::ModelJson(name, tables);
    const size_t kind = Below(12);
    step["materialize"] = kind < 5 ? "replace" : kind == 5 ? "append" : "none";
    if (OneIn(15)) step["network"] = "host";
    if (OneIn(5)) step["python"]["version"] = "3.13";
    if (OneIn(4)) step["parameters"] = {{{"argument", "y"}, {"name", "year"}, {"line", 1}}};
    if (OneIn(3) && !step["inputs"].empty()) step["inputs"][0]["columns"] = {"a", "b"};
    return step;
  }

  std::mt19937_64 random_;
};

// Some steps were changed, and some of what was kept is gone, since the last run.
Facts LaterFacts(Generator& generator, const Pipeline& pipeline) {
  Facts facts = testing::FactsFor(pipeline);
  facts = AfterRun(pipeline, PlanOf(pipeline, facts), facts);
  std::erase_if(facts.results, [&](const auto&) { return generator.OneIn(4); });
  std::erase_if(facts.installed, [&](const auto&) { return generator.OneIn(4); });
  std::erase_if(facts.fetched, [&](const auto&) { return generator.OneIn(3); });
  std::erase_if(facts.recorded, [&](const auto&) { return generator.OneIn(4); });
  return facts;
}

void CheckShape(const Plan& plan) {
  std::vector<bool> needed(plan.tasks.size());
  for (size_t id = plan.tasks.size(); id-- > 0;) {
    const Task& task = plan.tasks[id];
    EXPECT_TRUE(std::is_sorted(task.needs.begin(), task.needs.end()));
    const bool package = task.kind == TaskKind::kFetch || task.kind == TaskKind::kInstall;
    if (package || task.kind == TaskKind::kScan) {
      EXPECT_TRUE(task.action != Action::kRun || needed[id])
          << task.name << " runs and nobody needs it";
    }
    for (const TaskId need : task.needs) {
      ASSERT_LT(need.value, id);
      if (task.action != Action::kRun) continue;
      needed[need.value] = true;
      EXPECT_NE(plan.task(need).action, Action::kNotNeeded)
          << task.name << " needs " << plan.task(need).name;
    }
    EXPECT_FALSE(task.reason.empty()) << task.name;
  }
}

// A step that runs gets each input from a step that runs, from a scan, or not at all.
void CheckInputs(const Pipeline& pipeline, const Plan& plan) {
  std::set<base::Digest> fingerprints;
  for (const PlannedStep& planned : plan.steps) {
    const Task& task = plan.task(planned.task);
    EXPECT_TRUE(fingerprints.insert(task.fingerprint).second) << "two steps with one fingerprint";
    if (task.action != Action::kRun) continue;
    std::set<std::string> made;
    for (const TaskId need : task.needs) {
      const Task& other = plan.task(need);
      if (other.kind != TaskKind::kInstall && other.action == Action::kRun) made.insert(other.name);
    }
    for (const Input& input : FindStep(pipeline, planned.name)->inputs) {
      EXPECT_TRUE(made.contains(NameOf(input.table)))
          << planned.name.text() << " lacks " << NameOf(input.table);
    }
  }
}

TEST(PlannerProperties, PlansAreWellFormed) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Generator generator(seed);
    const Pipeline pipeline = Read(generator.Document(1 + generator.Below(25)));
    const Plan plan =
        PlanOf(pipeline, LaterFacts(generator, pipeline), {.ignore_results = generator.OneIn(10)});
    CheckShape(plan);
    CheckInputs(pipeline, plan);
  }
}

TEST(PlannerProperties, TheOrderOfInputsDoesNotMatter) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Generator generator(seed);
    json document = generator.Document(1 + generator.Below(25));
    const Pipeline pipeline = Read(document);
    Facts facts = LaterFacts(generator, pipeline);
    const Plan plan = PlanOf(pipeline, facts);
    generator.ShuffleDocument(document);
    for (auto& [name, environment] : facts.environments)
      generator.Shuffle(environment.distributions);
    for (auto& [name, image] : facts.images) generator.Shuffle(image.engine.distributions);
    const Pipeline shuffled = Read(document);
    EXPECT_EQ(shuffled, pipeline);
    EXPECT_EQ(PlanOf(shuffled, facts), plan);
    EXPECT_EQ(ExplainPlan(shuffled, PlanOf(shuffled, facts)), ExplainPlan(pipeline, plan));
  }
}

TEST(PlannerProperties, ASecondRunDoesOnlyWhatCannotBeKept) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Generator generator(seed);
    const Pipeline pipeline = Read(generator.Document(1 + generator.Below(25)));
    Facts facts = LaterFacts(generator, pipeline);
    facts = AfterRun(pipeline, PlanOf(pipeline, facts), facts);
    const Plan plan = PlanOf(pipeline, facts);
    for (const Task& task : plan.tasks) {
      if (task.kind != TaskKind::kInstall) continue;
      EXPECT_NE(task.action, Action::kRun) << task.name;
    }
    for (const PlannedStep& planned : plan.steps) {
      if (plan.task(planned.task).action != Action::kRun || planned.always_runs) continue;
      EXPECT_EQ(FindStep(pipeline, planned.name)->materialize, Materialize::kNone);
      EXPECT_NE(FindStep(pipeline, planned.name)->kind, StepKind::kExpectation);
    }
  }
}

TEST(PlannerProperties, AChangeReachesExactlyWhatReadsIt) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Generator generator(seed);
    json document = generator.Document(2 + generator.Below(25));
    const Pipeline pipeline = Read(document);
    const Plan before = PlanOf(pipeline, testing::FactsFor(pipeline));
    json& changed = document["models"][generator.Below(document["models"].size())];
    changed["code"] = testing::Hex("another");
    const Plan after = PlanOf(Read(document), testing::FactsFor(pipeline));
    std::set<std::string> reached = {changed["name"].get<std::string>()};
    ASSERT_EQ(before.steps.size(), after.steps.size());
    for (size_t i = 0; i < before.steps.size(); ++i) {
      const PlannedStep& planned = before.steps[i];
      for (const Input& input : FindStep(pipeline, planned.name)->inputs) {
        if (reached.contains(NameOf(input.table))) reached.insert(planned.name.text());
      }
      const bool differs =
          before.task(planned.task).fingerprint != after.task(after.steps[i].task).fingerprint;
      EXPECT_EQ(differs, reached.contains(planned.name.text())) << planned.name.text();
    }
  }
}

TEST(PlannerProperties, OnlyIsAPartOfTheWhole) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Generator generator(seed);
    const Pipeline pipeline = Read(generator.Document(1 + generator.Below(25)));
    const Facts facts = LaterFacts(generator, pipeline);
    const Plan whole = PlanOf(pipeline, facts);
    const std::string only = whole.steps[generator.Below(whole.steps.size())].name.text();
    const Plan part = PlanOf(pipeline, facts, {.only = only});
    CheckShape(part);
    CheckInputs(pipeline, part);
    EXPECT_EQ(part.steps.back().name.text(), only);
    for (const PlannedStep& planned : part.steps) {
      EXPECT_EQ(part.task(planned.task).fingerprint,
                testing::StepTask(whole, planned.name.text()).fingerprint);
    }
  }
}

TEST(PlannerProperties, PicturesFitATerminal) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Generator generator(seed);
    const Pipeline pipeline = Read(generator.Document(1 + generator.Below(40)));
    const Plan plan = PlanOf(pipeline, LaterFacts(generator, pipeline));
    const std::string text = ExplainPlan(pipeline, plan);
    for (const std::string& line : base::Split(text, '\n')) {
      EXPECT_LE(Columns(line), 80U) << line;
      EXPECT_FALSE(line.ends_with(' ')) << line;
      EXPECT_EQ(OneLine(line), line);
    }
    for (const PlannedStep& step : plan.steps) EXPECT_NE(text.find(step.name.text()), text.npos);
    const json document = json::parse(PlanJson(pipeline, plan));
    EXPECT_EQ(document["tasks"].size(), plan.tasks.size());
    EXPECT_EQ(document["steps"].size(), plan.steps.size());
  }
}

// Not a test of time: it prints what a plan of this size takes.
TEST(PlannerProperties, TwoHundredStepsOfSixtyPackages) {
  Generator generator(7);
  const std::string text = generator.Document(170).dump();
  const std::string project = testing::ProjectJson(testing::ProjectData());
  const Pipeline pipeline = ReadPipeline(text, project);
  Facts facts = testing::FactsFor(pipeline);
  for (auto& [name, environment] : facts.environments) {
    for (int i = 0; i < 58; ++i) {
      environment.distributions.push_back(testing::Wheel(fmt::format("package-{}", i), "1.2.3"));
    }
  }
  facts = AfterRun(pipeline, PlanOf(pipeline, facts), facts);
  const auto time = [](const auto& work) {
    auto best = std::chrono::nanoseconds::max();
    for (int i = 0; i < 20; ++i) {
      const auto start = std::chrono::steady_clock::now();
      work();
      best = std::min(best, std::chrono::nanoseconds(std::chrono::steady_clock::now() - start));
    }
    return base::HumanDuration(best);
  };
  const Plan plan = PlanOf(pipeline, facts);
  EXPECT_GT(plan.steps.size(), 190U);
  fmt::print("{} steps: read {}, plan {}, picture {}\n", plan.steps.size(),
             time([&] { ReadPipeline(text, project); }), time([&] { PlanOf(pipeline, facts); }),
             time([&] { ExplainPlan(pipeline, plan); }));
}

}  // namespace
}  // namespace rundlet::plans
