#include "plans/read/read_pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/plans/documents.h"

namespace rundlet::plans {
namespace {

using ::testing::ElementsAre;
using testing::Faults;
using ::testing::HasSubstr;
using testing::Hex;
using testing::InputJson;
using testing::json;
using testing::ModelJson;
using testing::Read;
using testing::ReaderJson;
using testing::SqlJson;
using testing::StepOf;
using testing::TableOf;
using testing::With;

json FullModel() {
  json model = ModelJson("delays", {"flights"}, 6);
  model["doc"] = "Mean delay\tper carrier.";
  model["inputs"][0]["columns"] = {"carrier", "dep_delay"};
  model["inputs"][0]["filter"] = {
      {"op", "and"},
      {"args",
       {{{"op", ">"}, {"column", "dep_delay"}, {"value", 15}},
        {{"op", "not"}, {"arg", {{"op", "is_null"}, {"column", "carrier"}}}},
        {{"op", "in"}, {"column", "month"}, {"values", {1, 2.5, "x", true}}},
        {{"op", "between"}, {"column", "day"}, {"low", -1}, {"high", 5}}}}};
  model["inputs"][0]["filter_text"] = "dep_delay > 15 ...";
  model["parameters"] = {{{"argument", "y"}, {"name", "year"}, {"line", 7}}};
  model["python"] = {{"version", "3.13"}, {"pip", {"pandas==2.2.3"}}, {"image", nullptr}};
  model["imports"] = {{{"name", "pandas"}, {"line", 3}}};
  model["materialize"] = "replace";
  model["env"] = {{"TZ", "UTC"}};
  model["network"] = "host";
  model["cpus"] = 0.5;
  model["memory"] = 512 << 20;
  model["pids"] = 64;
  model["disk"] = 16 << 20;
  model["timeout"] = 30;
  model["retries"] = 2;
  return model;
}

TEST(ReadPipeline, EveryFieldArrives) {
  const Pipeline pipeline = Read(ReaderJson({FullModel()}));
  ASSERT_EQ(pipeline.models.size(), 1U);
  const Step& step = pipeline.models[0];
  EXPECT_EQ(step.name, StepOf("delays"));
  EXPECT_EQ(step.kind, StepKind::kPython);
  EXPECT_EQ(step.place, (Place{"pipeline.py", 6}));
  EXPECT_EQ(step.doc, "Mean delay per carrier.");
  EXPECT_EQ(step.function, "delays");
  EXPECT_EQ(step.code.hex(), Hex("code of delays"));
  ASSERT_EQ(step.inputs.size(), 1U);
  EXPECT_EQ(step.inputs[0].table, InputTable(TableOf("flights")));
  EXPECT_THAT(step.inputs[0].columns.value(), ElementsAre("carrier", "dep_delay"));
  EXPECT_THAT(step.inputs[0].filter_columns, ElementsAre("carrier", "day", "dep_delay", "month"));
  EXPECT_EQ(json::parse(step.inputs[0].filter), FullModel()["inputs"][0]["filter"]);
  ASSERT_EQ(step.parameters.size(), 1U);
  EXPECT_EQ(step.parameters[0].argument, "y");
  EXPECT_EQ(step.parameters[0].name.text(), "year");
  EXPECT_EQ(step.image.text(), "3.13");
  EXPECT_EQ(step.version, "3.13");
  EXPECT_THAT(step.requirements, ElementsAre("pandas==2.2.3"));
  EXPECT_EQ(step.imports, (std::vector<Import>{{"pandas", 3}}));
  EXPECT_EQ(step.materialize, Materialize::kReplace);
  EXPECT_EQ(step.network.level, Network::Level::kHost);
  EXPECT_EQ(step.environment, (std::map<std::string, std::string>{{"TZ", "UTC"}}));
  EXPECT_EQ(step.limits, (Limits{0.5, uint64_t{512} << 20, 64, 16 << 20, 30.0, 2}));
}

TEST(ReadPipeline, DefaultsApplyWhereAStepSaysNothing) {
  const Pipeline pipeline =
      Read(ReaderJson({ModelJson("a"), SqlJson("b")}, {ModelJson("c", {"a"})}));
  EXPECT_EQ(pipeline.engine_image.text(), "3.11");
  for (const auto* step : {FindStep(pipeline, StepOf("a")), FindStep(pipeline, StepOf("c"))}) {
    EXPECT_EQ(step->image.text(), "3.11");
    EXPECT_EQ(step->version, "3.11");
    EXPECT_THAT(step->requirements, ElementsAre("polars>=1.0"));
  }
  EXPECT_TRUE(FindStep(pipeline, StepOf("b"))->requirements.empty())
      << "sql runs in the engine environment";
  EXPECT_EQ(FindStep(pipeline, StepOf("c"))->kind, StepKind::kExpectation);
  EXPECT_EQ(FindStep(pipeline, StepOf("nobody")), nullptr);
}

TEST(ReadPipeline, AnEmptyListOfPackagesIsNotTheDefault) {
  const Pipeline pipeline = Read(ReaderJson({With(ModelJson("a"), "/python/pip", json::array())}));
  EXPECT_TRUE(pipeline.models[0].requirements.empty());
}

TEST(ReadPipeline, AnOnlyImageNeedsNoDefault) {
  json data = testing::ProjectData();
  data["images"].erase("3.11");
  data.erase("python");
  const Pipeline pipeline = Read(ReaderJson({ModelJson("a")}), data);
  EXPECT_EQ(pipeline.models[0].image.text(), "3.13");
  EXPECT_EQ(pipeline.models[0].version, std::nullopt);
}

TEST(ReadPipeline, NothingIsAPipelineToo) {
  const Pipeline pipeline = ReadPipeline(ReaderJson({}).dump(), "");
  EXPECT_TRUE(pipeline.models.empty());
  EXPECT_TRUE(pipeline.engine_image.empty());
}

TEST(ReadPipeline, NamesWithNothingBehindThem) {
  json model = ModelJson("delays", {"fligths"}, 6);
  model["parameters"] = {{{"argument", "y"}, {"name", "yaer"}, {"line", 8}}};
  EXPECT_EQ(Faults(ReaderJson({model, ModelJson("other", {"nowhere_near"}, 20)})),
            "error: pipeline.py:6: model `delays` reads `fligths`\n"
            "caused by: no model or table has that name\n"
            "hint: did you mean `flights`?\n"
            "error: pipeline.py:8: model `delays` uses the parameter `yaer`\n"
            "caused by: rundlet.toml declares no parameter of that name\n"
            "hint: did you mean `year`?\n"
            "error: pipeline.py:20: model `other` reads `nowhere_near`\n"
            "caused by: no model or table has that name\n"
            "hint: make a model of that name, or say where its files are below "
            "[tables.nowhere_near] in rundlet.toml\n");
}

TEST(ReadPipeline, AnExpectationMakesNoTable) {
  EXPECT_EQ(Faults(ReaderJson({ModelJson("a", {"e"}, 3)}, {ModelJson("e", {"flights"}, 9)})),
            "error: pipeline.py:3: model `a` reads `e`\n"
            "caused by: `e` is an expectation, which makes no table\n");
}

TEST(ReadPipeline, NamesTakenTwice) {
  const json in_sql = SqlJson("a");
  EXPECT_EQ(Faults(ReaderJson({in_sql, ModelJson("a", {}, 3), ModelJson("flights", {}, 30)},
                              {ModelJson("a", {}, 9)}),
                   testing::ProjectData(), {{"tables.flights", 14}}),
            "error: pipeline.py:3: model `a` is declared twice\n"
            "caused by: the name is taken by the model at a.sql:1\n"
            "error: pipeline.py:9: expectation `a` is declared twice\n"
            "caused by: the name is taken by the model at a.sql:1\n"
            "error: pipeline.py:30: model `flights` has the name of a table\n"
            "caused by: [tables.flights] is at rundlet.toml:14\n");
}

TEST(ReadPipeline, CyclesAreNamedWithTheirPlaces) {
  EXPECT_EQ(Faults(ReaderJson({ModelJson("c", {"a", "flights"}, 30), ModelJson("a", {"b"}, 10),
                               ModelJson("b", {"c"}, 20), ModelJson("after", {"c"}, 40),
                               ModelJson("self", {"self"}, 50)})),
            "error: pipeline.py:10: model `a` needs its own result\n"
            "caused by: `a` (pipeline.py:10) reads `b` (pipeline.py:20), which reads `c` "
            "(pipeline.py:30), which reads `a`\n"
            "error: pipeline.py:50: model `self` needs its own result\n"
            "caused by: `self` (pipeline.py:50) reads `self`\n");
}

TEST(ReadPipeline, ALongCycleIsCutAndALongChainIsNone) {
  std::vector<json> models;
  for (int i = 0; i < 3000; ++i)
    models.push_back(ModelJson("m" + std::to_string(i), {"m" + std::to_string((i + 1) % 3000)}));
  const std::string text = Faults(ReaderJson(models));
  EXPECT_THAT(text, HasSubstr("and, 2988 models further on, reads `m0`"));
  models.back()["inputs"] = json::array();
  EXPECT_EQ(Faults(ReaderJson(models)), "");
}

TEST(ReadPipeline, ImagesThatAreNotThere) {
  EXPECT_EQ(Faults(ReaderJson({With(ModelJson("a", {}, 1), "/python/version", "3.12"),
                               With(ModelJson("b", {}, 2), "/python/image", "gpu")})),
            "error: pipeline.py:1: model `a` asks for Python 3.12\n"
            "caused by: [images] in rundlet.toml has no `3.12`\n"
            "hint: it has `3.11` and `3.13`: use what is there, or add an image that `rundlet "
            "image ls` lists\n"
            "error: pipeline.py:2: model `b` asks for the image `gpu`\n"
            "caused by: [images] in rundlet.toml has no `gpu`\n"
            "hint: it has `3.11` and `3.13`: use what is there, or add an image that `rundlet "
            "image ls` lists\n");
  EXPECT_EQ(Faults(ReaderJson({ModelJson("a")}), json::object()),
            "error: pipeline.py:1: model `a` does not say which Python it runs on\n"
            "caused by: rundlet.toml has no default for it\n"
            "hint: add \"3.11\" = \"NAME\" below [images] in rundlet.toml, with a NAME that "
            "`rundlet image ls` lists\n");
}

TEST(ReadPipeline, ReaderErrorsAreTold) {
  const json error = {{"file", "pipeline.py"}, {"line", 12},
                      {"column", 5},           {"message", "`pip` must be a dict"},
                      {"object", "delays"},    {"hint", "write {\"a\": \"1\"}"}};
  const json plain = {{"file", "b.sql"},   {"line", 0},
                      {"column", 0},       {"message", "`b.sql` is not UTF-8"},
                      {"object", "b.sql"}, {"hint", nullptr}};
  // What could not be read may hold `missing`: it is not told.
  EXPECT_EQ(Faults(ReaderJson({ModelJson("a", {"missing"})}, {}, {error, plain})),
            "error: b.sql: `b.sql` is not UTF-8\n"
            "error: pipeline.py:12:5: `delays`: `pip` must be a dict\n"
            "hint: write {\"a\": \"1\"}\n");
}

// What the author can cause is a problem with a place.
TEST(ReadPipeline, ValuesBeyondTheirLimits) {
  json filter = {{"op", "is_null"}, {"column", "x"}};
  for (int i = 0; i < 300; ++i) filter = {{"op", "not"}, {"arg", filter}};
  json input = InputJson("flights");
  input["filter"] = filter;
  const std::vector<std::pair<std::string, json>> cases = {
      {"/name", "a-b"},
      {"/name", ""},
      {"/name", "1a"},
      {"/name", std::string(129, 'a')},
      {"/name", "a/../b"},
      {"/python/version", "3"},
      {"/python/version", "3.111"},
      {"/python/version", "2.7"},
      {"/python/pip", {"-e /etc"}},
      {"/python/pip", {"--index-url=https://example.org"}},
      {"/python/pip", {""}},
      {"/python/pip", {"six\n-e ."}},
      {"/python/pip", json(std::vector<std::string>(1001, "six"))},
      {"/env", {{"A-B", "x"}}},
      {"/env", {{"A", std::string("x\0y", 3)}}},
      {"/env", {{"A", std::string(200'000, 'x')}}},
      {"/cpus", 0},
      {"/cpus", 5000},
      {"/memory", 0},
      {"/memory", -5},
      {"/pids", 0},
      {"/pids", 5'000'000},
      {"/disk", 0},
      {"/timeout", 0},
      {"/timeout", 1e9},
      {"/retries", 101},
      {"/inputs", json(std::vector<json>(1, input))},
  };
  for (const auto& [pointer, value] : cases) {
    const std::string text = Faults(ReaderJson({With(ModelJson("a", {}, 4), pointer, value)}));
    EXPECT_THAT(text, HasSubstr("error: pipeline.py:4: step `"))
        << pointer << " " << value.dump().substr(0, 80);
    EXPECT_THAT(text, HasSubstr("caused by: ")) << text;
  }
}

// What only a bug or an attack makes is no fault of the author's.
TEST(ReadPipeline, DocumentsOfAnotherShape) {
  const json model = ModelJson("a", {"flights"}, 4);
  std::vector<std::string> documents = {"",
                                        "nonsense",
                                        "[]",
                                        "{}",
                                        "null",
                                        std::string(600, '['),
                                        "{\"version\":1}",
                                        With(ReaderJson({}), "/version", 2).dump(),
                                        With(ReaderJson({}), "/models", json::object()).dump(),
                                        With(ReaderJson({}), "/errors", json::array({1})).dump(),
                                        ReaderJson({json(1)}).dump(),
                                        "\xff\xfe"};
  const std::vector<std::pair<std::string, json>> fields = {
      {"/name", nullptr},
      {"/name", 1},
      {"/kind", "bash"},
      {"/file", "/etc/passwd"},
      {"/file", "../x.py"},
      {"/file", ""},
      {"/line", "4"},
      {"/function", nullptr},
      {"/code", "abc"},
      {"/inputs", nullptr},
      {"/inputs/0/model", ""},
      {"/inputs/0/columns", "a"},
      {"/inputs/0/columns", {1}},
      {"/inputs/0/filter", "x > 1"},
      {"/inputs/0/filter", {{"op", "drop"}, {"column", "x"}, {"value", 1}}},
      {"/inputs/0/filter", {{"op", ">"}, {"column", "x"}, {"value", nullptr}}},
      {"/inputs/0/filter", {{"op", ">"}, {"column", ""}, {"value", 1}}},
      {"/inputs/0/filter", {{"op", "and"}, {"args", json::array()}}},
      {"/inputs/0/filter", {{"op", "in"}, {"column", "x"}, {"values", json::array()}}},
      {"/parameters", {{{"argument", "a"}}}},
      {"/python", nullptr},
      {"/python/pip", "six"},
      {"/imports", {"six"}},
      {"/materialize", "sometimes"},
      {"/env", json::array()},
      {"/env", {{"A", 1}}},
      {"/network", "all"},
      {"/cpus", "1"},
      {"/memory", 1.5},
      {"/pids", "all"},
      {"/disk", 1.5},
      {"/retries", nullptr},
  };
  for (const auto& [pointer, value] : fields)
    documents.push_back(ReaderJson({With(model, pointer, value)}).dump());
  documents.push_back(ReaderJson({}, {SqlJson("e")}).dump());
  documents.push_back(ReaderJson({}, {With(ModelJson("e"), "/materialize", "replace")}).dump());
  json twice = model;
  twice["inputs"].push_back(InputJson("flights"));
  documents.push_back(ReaderJson({twice}).dump());
  for (const std::string& document : documents) {
    try {
      ReadPipeline(document, testing::ProjectJson(testing::ProjectData()));
      ADD_FAILURE() << "accepted: " << document.substr(0, 300);
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::kInvalid) << document.substr(0, 300) << "\n"
                                                      << error.Render();
      EXPECT_EQ(error.chain().size(), 2U) << error.Render();
    }
  }
}

TEST(ReadPipeline, WhatIsNotUnderstoodDoesNotTravelOn) {
  json model = ModelJson("a", {"flights"});
  model["inputs"][0]["filter"] = {{"op", "is_null"}, {"column", "x"}, {"surprise", "y"}};
  EXPECT_EQ(Read(ReaderJson({model})).models[0].inputs[0].filter,
            R"({"column":"x","op":"is_null"})");
}

TEST(ReadPipeline, OrderOfTheSourcesDoesNotMatter) {
  json two = ModelJson("b", {"a", "flights"});
  json reversed = two;
  std::reverse(reversed["inputs"].begin(), reversed["inputs"].end());
  EXPECT_EQ(Read(ReaderJson({ModelJson("a"), two})), Read(ReaderJson({reversed, ModelJson("a")})));
}

}  // namespace
}  // namespace rundlet::plans
