#include "plans/plan/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/plans/plans_of.h"

namespace rundlet::plans {
namespace {

using testing::AfterRun;
using ::testing::ElementsAre;
using testing::FactsFor;
using testing::FindTask;
using ::testing::HasSubstr;
using testing::json;
using testing::ModelJson;
using testing::Outcome;
using testing::PlanOf;
using testing::Read;
using testing::ReaderJson;
using testing::SqlJson;
using testing::StepOf;
using testing::StepTask;
using testing::TableOf;
using testing::Wheel;
using testing::With;

json Kept(json model) { return With(std::move(model), "/materialize", "replace"); }

// flights -> clean (none) -> delays (replace) -> plausible (expectation); clean -> late (sql,
// replace)
json Demo() {
  return ReaderJson({ModelJson("clean", {"flights"}), Kept(ModelJson("delays", {"clean"})),
                     Kept(SqlJson("late", {"clean"}))},
                    {ModelJson("plausible", {"delays"})});
}

std::vector<std::string> NeedsOf(const Plan& plan, const Task& task) {
  std::vector<std::string> needs;
  for (const TaskId id : task.needs) {
    needs.push_back(std::string(NameOf(plan.task(id).kind)) + " " + plan.task(id).name);
  }
  return needs;
}

TEST(Planner, FirstRunDoesEverything) {
  const Pipeline pipeline = Read(Demo());
  const Plan plan = PlanOf(pipeline, FactsFor(pipeline));
  for (const Task& task : plan.tasks) EXPECT_EQ(task.action, Action::kRun) << task.name;
  for (const PlannedStep& step : plan.steps) EXPECT_EQ(plan.task(step.task).reason, "new step");
  std::vector<std::string> order;
  for (const Task& task : plan.tasks)
    order.push_back(std::string(NameOf(task.kind)) + " " + task.name);
  EXPECT_THAT(order,
              ElementsAre("fetch duckdb 1.3.0", "fetch pandas 2.2.2", "fetch pyarrow 20.0.0",
                          "install duckdb 1.3.0", "install pandas 2.2.2", "install pyarrow 20.0.0",
                          "scan flights", "python clean", "python delays", "sql late",
                          "expect plausible", "materialize delays", "materialize late"));
  EXPECT_THAT(NeedsOf(plan, StepTask(plan, "clean")),
              ElementsAre("install pandas 2.2.2", "install pyarrow 20.0.0", "scan flights"));
  EXPECT_THAT(NeedsOf(plan, StepTask(plan, "late")),
              ElementsAre("install duckdb 1.3.0", "install pyarrow 20.0.0", "python clean"));
  EXPECT_EQ(FindTask(plan, TaskKind::kInstall, "pandas 2.2.2")->reason,
            "needed by `clean`, `delays` and 1 more");
}

TEST(Planner, ATableIsPublishedOnlyWhenItsExpectationsHold) {
  const Pipeline pipeline = Read(Demo());
  const Plan plan = PlanOf(pipeline, FactsFor(pipeline));
  EXPECT_THAT(NeedsOf(plan, *FindTask(plan, TaskKind::kMaterialize, "delays")),
              ElementsAre("install duckdb 1.3.0", "install pyarrow 20.0.0", "python delays",
                          "expect plausible"));
}

TEST(Planner, NothingChangedMeansNothingRuns) {
  const Pipeline pipeline = Read(Demo());
  const Facts facts = FactsFor(pipeline);
  const Facts after = AfterRun(pipeline, PlanOf(pipeline, facts), facts);
  const Plan plan = PlanOf(pipeline, after);
  EXPECT_EQ(Outcome(plan, "clean"), "not-needed: nothing that runs reads it");
  EXPECT_EQ(Outcome(plan, "delays"), "cached: result kept from an earlier run");
  EXPECT_EQ(Outcome(plan, "plausible"), "cached: held in an earlier run");
  EXPECT_EQ(Outcome(*FindTask(plan, TaskKind::kScan, "flights")),
            "not-needed: nothing that runs reads it");
  EXPECT_EQ(Outcome(*FindTask(plan, TaskKind::kFetch, "pandas 2.2.2")), "cached: fetched");
  EXPECT_EQ(Outcome(*FindTask(plan, TaskKind::kInstall, "pandas 2.2.2")), "cached: installed");
  EXPECT_EQ(StepTask(plan, "delays").result, (KeptResult{10, 2048}));
  EXPECT_EQ(CountSteps(plan).cached, 3U);
  EXPECT_EQ(CountSteps(plan).not_needed, 1U);
}

// Each change, and what it makes of the four steps.
struct Change {
  std::string pointer;  // into the reader's document
  json value;
  std::string clean, delays, plausible;
};

TEST(Planner, WhatAChangeDoes) {
  const Pipeline before = Read(Demo());
  const Facts facts = AfterRun(before, PlanOf(before, FactsFor(before)), FactsFor(before));
  const std::string kept = "cached: result kept from an earlier run";
  const std::string held = "cached: held in an earlier run";
  const std::vector<Change> changes = {
      {"/models/0/code", testing::Hex("new"), "run: code changed", "run: input `clean` changed",
       "run: input `delays` changed"},
      {"/models/1/code", testing::Hex("new"), "run: read by `delays`", "run: code changed",
       "run: input `delays` changed"},
      {"/expectations/0/code", testing::Hex("new"), "not-needed: nothing that runs reads it", kept,
       "run: code changed"},
      {"/models/1/env",
       {{"TZ", "UTC"}},
       "run: read by `delays`",
       "run: environment variable `TZ` added",
       "run: input `delays` changed"},
      {"/models/1/inputs/0/columns",
       {"a"},
       "run: read by `delays`",
       "run: columns or filter of input `clean` changed",
       "run: input `delays` changed"},
      {"/models/0/inputs/0/filter",
       {{"op", "is_null"}, {"column", "x"}},
       "run: columns or filter of input `flights` changed",
       "run: input `clean` changed",
       "run: input `delays` changed"},
      {"/models/0/network", "host", "run: has network access", "run: input `clean` runs every time",
       "run: input `delays` runs every time"},
      {"/models/1/materialize", "append", "run: read by `delays`", "run: appends on every run",
       "run: input `delays` runs every time"},
      // Neither limits nor words of the author are part of a result.
      {"/models/1/memory", 1 << 30, "not-needed: nothing that runs reads it", kept, held},
      {"/models/1/timeout", 5, "not-needed: nothing that runs reads it", kept, held},
      {"/models/1/cpus", 2, "not-needed: nothing that runs reads it", kept, held},
      {"/models/1/retries", 2, "not-needed: nothing that runs reads it", kept, held},
      {"/models/1/doc", "better", "not-needed: nothing that runs reads it", kept, held},
      {"/models/1/line", 99, "not-needed: nothing that runs reads it", kept, held},
      {"/models/1/file", "moved.py", "not-needed: nothing that runs reads it", kept, held},
      {"/models/1/inputs/0/filter_text", "x", "not-needed: nothing that runs reads it", kept, held},
  };
  for (const Change& change : changes) {
    const Plan plan = PlanOf(Read(With(Demo(), change.pointer, change.value)), facts);
    EXPECT_EQ(Outcome(plan, "clean"), change.clean) << change.pointer;
    EXPECT_EQ(Outcome(plan, "delays"), change.delays) << change.pointer;
    EXPECT_EQ(Outcome(plan, "plausible"), change.plausible) << change.pointer;
  }
}

TEST(Planner, AnotherPackageVersionRunsTheStepAndInstallsThat) {
  const Pipeline pipeline = Read(Demo());
  Facts facts = AfterRun(pipeline, PlanOf(pipeline, FactsFor(pipeline)), FactsFor(pipeline));
  facts.environments[StepOf("delays")] =
      testing::EnvironmentWith(facts.images.at(testing::ImageOf("3.11")).interpreter,
                               {Wheel("pandas", "2.2.3"), Wheel("pyarrow", "20.0.0")});
  const Plan plan = PlanOf(pipeline, facts);
  EXPECT_EQ(Outcome(plan, "delays"), "run: `pandas` 2.2.2 -> 2.2.3");
  EXPECT_EQ(Outcome(*FindTask(plan, TaskKind::kInstall, "pandas 2.2.3")),
            "run: needed by `delays`");
  EXPECT_EQ(Outcome(*FindTask(plan, TaskKind::kInstall, "pyarrow 20.0.0")), "cached: installed");
  EXPECT_EQ(Outcome(plan, "late"), "cached: result kept from an earlier run");
}

TEST(Planner, AnotherInterpreterInstallsAgainFromTheFetchedWheel) {
  const Pipeline pipeline = Read(Demo());
  Facts facts = AfterRun(pipeline, PlanOf(pipeline, FactsFor(pipeline)), FactsFor(pipeline));
  ImageFacts& image = facts.images.at(testing::ImageOf("3.11"));
  image.interpreter = base::Digest::Of("patched");
  image.version = "3.11.9";
  const Plan plan = PlanOf(pipeline, facts);
  EXPECT_THAT(Outcome(plan, "delays"), HasSubstr("run: Python 3.11.4 -> 3.11.9"));
  EXPECT_EQ(FindTask(plan, TaskKind::kFetch, "pandas 2.2.2")->action, Action::kCached);
  EXPECT_EQ(FindTask(plan, TaskKind::kInstall, "pandas 2.2.2")->action, Action::kRun);
}

TEST(Planner, StepsShareAnInstallOnOneInterpreterOnly) {
  const Pipeline pipeline = Read(ReaderJson(
      {ModelJson("a"), ModelJson("b"), With(ModelJson("c"), "/python/version", "3.13")}));
  const Plan plan = PlanOf(pipeline, FactsFor(pipeline));
  int fetches = 0;
  int installs = 0;
  for (const Task& task : plan.tasks) {
    fetches += task.kind == TaskKind::kFetch && task.distribution->name == "pandas" ? 1 : 0;
    installs += task.kind == TaskKind::kInstall && task.distribution->name == "pandas" ? 1 : 0;
  }
  EXPECT_EQ(fetches, 1);
  EXPECT_EQ(installs, 2);
}

TEST(Planner, ParametersAreComparedByValue) {
  json document = Demo();
  document["models"][1]["parameters"] = {{{"argument", "y"}, {"name", "year"}, {"line", 1}},
                                         {{"argument", "z"}, {"name", "year"}, {"line", 1}}};
  const Pipeline pipeline = Read(document);
  const Facts facts = AfterRun(pipeline, PlanOf(pipeline, FactsFor(pipeline)), FactsFor(pipeline));
  EXPECT_EQ(
      Outcome(PlanOf(pipeline, facts, {.parameters = BindParameters(pipeline, {{"year", "2013"}})}),
              "delays"),
      "cached: result kept from an earlier run");
  const Plan other =
      PlanOf(pipeline, facts, {.parameters = BindParameters(pipeline, {{"year", "2014"}})});
  EXPECT_EQ(Outcome(other, "delays"), "run: parameter `year` 2013 -> 2014");
  EXPECT_EQ(Outcome(other, "late"), "cached: result kept from an earlier run");
}

TEST(Planner, AChangedTableRunsItsReaders) {
  const Pipeline pipeline = Read(Demo());
  Facts facts = AfterRun(pipeline, PlanOf(pipeline, FactsFor(pipeline)), FactsFor(pipeline));
  facts.sources[TableOf("flights")].content = base::Digest::Of("other flights");
  const Plan plan = PlanOf(pipeline, facts);
  EXPECT_EQ(Outcome(plan, "clean"), "run: input `flights` changed");
  EXPECT_EQ(Outcome(*FindTask(plan, TaskKind::kScan, "flights")), "run: read by `clean`");
}

TEST(Planner, AKeptResultIsScannedForWhoRuns) {
  const Pipeline before = Read(Demo());
  const Facts facts = AfterRun(before, PlanOf(before, FactsFor(before)), FactsFor(before));
  json document = Demo();
  document["expectations"][0]["code"] = testing::Hex("new");
  document["expectations"][0]["inputs"][0]["columns"] = {"dep_delay"};
  document["expectations"][0]["inputs"][0]["filter"] = {
      {"op", ">"}, {"column", "carrier"}, {"value", "A"}};
  const Plan plan = PlanOf(Read(document), facts);
  EXPECT_TRUE(StepTask(plan, "delays").kept_result);
  EXPECT_FALSE(StepTask(plan, "late").kept_result);
  const Task& scan = *FindTask(plan, TaskKind::kScan, "delays");
  EXPECT_TRUE(scan.kept_result);
  EXPECT_EQ(scan.step, StepOf("delays"));
  EXPECT_EQ(scan.bytes, 2048U);
  EXPECT_THAT(scan.selection->columns.value(), ElementsAre("carrier", "dep_delay"));
  EXPECT_THAT(scan.selection->filter, HasSubstr("carrier"));
  EXPECT_THAT(NeedsOf(plan, scan),
              ElementsAre("install duckdb 1.3.0", "install pyarrow 20.0.0", "python delays"));
  EXPECT_THAT(NeedsOf(plan, StepTask(plan, "plausible")),
              ElementsAre("install pandas 2.2.2", "install pyarrow 20.0.0", "scan delays"));
}

TEST(Planner, AScanTakesWhatItsReadersShare) {
  json a = ModelJson("a", {"flights"});
  json b = ModelJson("b", {"flights"});
  const json filter = {{"op", ">"}, {"column", "x"}, {"value", 1}};
  a["inputs"][0]["columns"] = {"p", "q"};
  b["inputs"][0]["columns"] = {"q", "r"};
  a["inputs"][0]["filter"] = filter;
  b["inputs"][0]["filter"] = filter;
  const auto selection = [&] {
    const Pipeline pipeline = Read(ReaderJson({a, b}));
    return FindTask(PlanOf(pipeline, FactsFor(pipeline)), TaskKind::kScan, "flights")
        ->selection.value();
  };
  EXPECT_EQ(selection(), (ScanSelection{std::vector<std::string>{"p", "q", "r", "x"},
                                        R"({"column":"x","op":">","value":1})"}));
  b["inputs"][0]["filter"]["value"] = 2;
  EXPECT_EQ(selection(), (ScanSelection{std::vector<std::string>{"p", "q", "r", "x"}, ""}));
  b["inputs"][0]["columns"] = nullptr;
  EXPECT_EQ(selection(), (ScanSelection{std::nullopt, ""}));
}

TEST(Planner, OnlyAStepAndWhatItNeeds) {
  const Pipeline pipeline = Read(Demo());
  const Facts facts = FactsFor(pipeline);
  const Plan plan = PlanOf(pipeline, facts, {.only = "delays"});
  std::vector<std::string> steps;
  for (const PlannedStep& step : plan.steps) steps.push_back(step.name.text());
  EXPECT_THAT(steps, ElementsAre("clean", "delays"));
  EXPECT_EQ(StepTask(plan, "delays").fingerprint,
            StepTask(PlanOf(pipeline, facts), "delays").fingerprint);
  // A model that is not kept is wanted when it is asked for by name.
  EXPECT_EQ(Outcome(PlanOf(pipeline, AfterRun(pipeline, plan, facts), {.only = "clean"}), "clean"),
            "run: its result is not kept");
  try {
    PlanOf(pipeline, facts, {.only = "delay"});
    FAIL();
  } catch (const InvalidPipeline& error) {
    EXPECT_EQ(error.Render(),
              "error: running only `delay`\n"
              "caused by: the pipeline has no model or expectation of that name\n"
              "hint: did you mean `delays`?\n");
  }
}

TEST(Planner, NoCacheRunsEveryStepAndKeepsPackages) {
  const Pipeline pipeline = Read(Demo());
  const Facts facts = AfterRun(pipeline, PlanOf(pipeline, FactsFor(pipeline)), FactsFor(pipeline));
  const Plan plan = PlanOf(pipeline, facts, {.ignore_results = true});
  for (const PlannedStep& step : plan.steps)
    EXPECT_EQ(Outcome(plan.task(step.task)), "run: --no-cache");
  EXPECT_EQ(FindTask(plan, TaskKind::kInstall, "pandas 2.2.2")->action, Action::kCached);
}

TEST(Planner, PackagesOfCachedStepsAreNotInstalled) {
  const Pipeline pipeline = Read(Demo());
  Facts facts = AfterRun(pipeline, PlanOf(pipeline, FactsFor(pipeline)), FactsFor(pipeline));
  facts.installed.clear();
  facts.fetched.clear();
  const Plan plan = PlanOf(pipeline, facts);
  EXPECT_EQ(Outcome(*FindTask(plan, TaskKind::kInstall, "pandas 2.2.2")),
            "not-needed: nothing that runs needs it");
  EXPECT_EQ(Outcome(*FindTask(plan, TaskKind::kFetch, "pandas 2.2.2")),
            "not-needed: nothing installs it");
}

TEST(Planner, AnInstalledPackageNeedsNoWheel) {
  const Pipeline pipeline = Read(Demo());
  Facts facts = FactsFor(pipeline);
  facts.installed = AfterRun(pipeline, PlanOf(pipeline, facts), facts).installed;
  const Plan plan = PlanOf(pipeline, facts);
  EXPECT_EQ(FindTask(plan, TaskKind::kInstall, "pandas 2.2.2")->action, Action::kCached);
  EXPECT_EQ(FindTask(plan, TaskKind::kFetch, "pandas 2.2.2")->action, Action::kNotNeeded);
}

TEST(Planner, AResultThatIsGoneIsMadeAgain) {
  const Pipeline pipeline = Read(Demo());
  Facts facts = AfterRun(pipeline, PlanOf(pipeline, FactsFor(pipeline)), FactsFor(pipeline));
  facts.results.clear();
  const Plan plan = PlanOf(pipeline, facts);
  EXPECT_EQ(Outcome(plan, "delays"), "run: no result kept from an earlier run");
  EXPECT_EQ(Outcome(plan, "clean"), "run: read by `delays` and `late`");
}

TEST(Planner, AnImageWithAnotherPythonIsRefused) {
  const Pipeline pipeline = Read(Demo());
  Facts facts = FactsFor(pipeline);
  facts.images.at(testing::ImageOf("3.11")).version = "3.1.1";
  try {
    PlanOf(pipeline, facts, {.only = "clean"});
    FAIL();
  } catch (const InvalidPipeline& error) {
    EXPECT_EQ(error.Render(),
              "error: pipeline.py:1: step `clean` asks for Python 3.11\n"
              "caused by: its image `3.11` (python:3.11-slim) has Python 3.1.1\n"
              "hint: name an image with Python 3.11 below [images]\n");
  }
}

TEST(Planner, MissingFactsAreABug) {
  const Pipeline pipeline = Read(Demo());
  Facts facts = FactsFor(pipeline);
  facts.environments.erase(StepOf("clean"));
  try {
    PlanOf(pipeline, facts);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::kBug);
  }
}

}  // namespace
}  // namespace rundlet::plans
