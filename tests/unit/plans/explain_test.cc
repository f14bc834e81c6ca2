// Pictures and JSON of plans, compared with the files of tests/golden/plans. RUNDLET_ACCEPT=1
// writes them anew.
#include "plans/show/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/unit/plans/golden_folder.h"
#include "tests/unit/plans/plans_of.h"

namespace rundlet::plans {
namespace {

using testing::AfterRun;
using testing::FactsFor;
using ::testing::HasSubstr;
using testing::json;
using testing::ModelJson;
using testing::PlanOf;
using testing::Read;
using testing::ReaderJson;
using testing::SqlJson;
using testing::StepOf;
using testing::Wheel;

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = std::string(RUNDLET_GOLDEN_PLANS) + "/" + name;
  if (std::getenv("RUNDLET_ACCEPT") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::ostringstream expected;
  expected << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, expected.str()) << name
                                  << ": if that is meant, run once more with RUNDLET_ACCEPT=1";
}

json Flights() {
  json delays = ModelJson("delays", {"clean"}, 6);
  delays["doc"] = "Mean delay per carrier.";
  delays["materialize"] = "replace";
  delays["python"]["pip"] = {"Pandas==2.2.2"};
  json late = SqlJson("late_share", {"clean", "carriers"});
  late["materialize"] = "replace";
  json rates = ModelJson("exchange_rates", {}, 30);
  rates["network"] = "host";
  rates["python"]["version"] = "3.13";
  json costs = ModelJson("costs", {"delays", "exchange_rates"}, 40);
  costs["materialize"] = "append";
  return ReaderJson({ModelJson("clean", {"flights"}, 3), delays, late, rates, costs},
                    {ModelJson("delays_are_plausible", {"delays"}, 50)});
}

json Data() {
  json data = testing::ProjectData();
  data["project"]["name"] = "flights";
  data["tables"]["carriers"] = {{"path", "data/carriers.csv"}};
  return data;
}

Facts FlightFacts(const Pipeline& pipeline) {
  Facts facts = FactsFor(pipeline);
  const auto& interpreter = facts.images.at(testing::ImageOf("3.11")).interpreter;
  facts.environments[StepOf("delays")] = testing::EnvironmentWith(
      interpreter,
      {Wheel("numpy", "2.0.1"), Wheel("pandas", "2.2.2"), Wheel("pyarrow", "20.0.0"),
       Wheel("python-dateutil", "2.9.0"), Wheel("pytz", "2025.2"), Wheel("six", "1.17.0")});
  return facts;
}

TEST(Explain, FirstRun) {
  const Pipeline pipeline = Read(Flights(), Data());
  const Plan plan = PlanOf(pipeline, FlightFacts(pipeline));
  ExpectGolden("first_run.txt", ExplainPlan(pipeline, plan));
  ExpectGolden("flights.json", PlanJson(pipeline, plan));
}

TEST(Explain, NothingChanged) {
  const Pipeline pipeline = Read(Flights(), Data());
  const Facts facts = FlightFacts(pipeline);
  const Plan plan = PlanOf(pipeline, AfterRun(pipeline, PlanOf(pipeline, facts), facts));
  ExpectGolden("nothing_changed.txt", ExplainPlan(pipeline, plan));
}

TEST(Explain, SomeThingsChanged) {
  const Pipeline before = Read(Flights(), Data());
  Facts facts = FlightFacts(before);
  facts = AfterRun(before, PlanOf(before, facts), facts);
  json document = Flights();
  document["models"][2]["code"] = testing::Hex("new");
  document["expectations"][0]["code"] = testing::Hex("new");
  facts.environments[StepOf("delays_are_plausible")] =
      testing::EnvironmentWith(facts.images.at(testing::ImageOf("3.11")).interpreter,
                               {Wheel("pandas", "2.2.3"), Wheel("pyarrow", "20.0.0")});
  const Pipeline pipeline = Read(document, Data());
  ExpectGolden("some_things_changed.txt", ExplainPlan(pipeline, PlanOf(pipeline, facts)));
}

TEST(Explain, TooWideToDraw) {
  std::vector<json> models;
  std::vector<std::string> all;
  for (char c = 'a'; c < 'k'; ++c) {
    models.push_back(ModelJson(std::string("model_") + c, {"flights"}));
    all.push_back(std::string("model_") + c);
  }
  models.push_back(ModelJson("the_name_of_this_model_is_longer_than_others", all));
  const Pipeline pipeline = Read(ReaderJson(models), Data());
  ExpectGolden("too_wide_to_draw.txt", ExplainPlan(pipeline, PlanOf(pipeline, FactsFor(pipeline))));
}

TEST(Explain, EmptyPipeline) {
  const Pipeline pipeline = Read(ReaderJson({}));
  EXPECT_EQ(
      ExplainPlan(pipeline, PlanOf(pipeline, FactsFor(pipeline))),
      "demo: 0 steps, 0 to run, 0 cached, 0 not needed\n\n\npackages: 0 installed, 0 to install\n");
}

TEST(Explain, OutsidersTextStaysOnItsLine) {
  json data = Data();
  const Pipeline pipeline = Read(Flights(), data);
  Facts facts = FlightFacts(pipeline);
  facts.images.at(testing::ImageOf("3.11")).version = "3.11\x1b[31m\n";
  json document = Flights();
  const Plan plan = [&] {
    Pipeline lenient = pipeline;  // the image's version is checked where one is asked for
    for (auto* steps : {&lenient.models, &lenient.expectations}) {
      for (Step& step : *steps) step.version.reset();
    }
    return PlanOf(lenient, facts);
  }();
  const std::string text = ExplainPlan(pipeline, plan);
  EXPECT_EQ(text.find('\x1b'), text.npos);
  EXPECT_THAT(text, HasSubstr("python 3.11?[31m  (image 3.11)"));
}

}  // namespace
}  // namespace rundlet::plans
