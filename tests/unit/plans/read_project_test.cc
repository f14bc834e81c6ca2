// rundlet.toml, read through ReadPipeline.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/plans/documents.h"

namespace rundlet::plans {
namespace {

using ::testing::ElementsAre;
using testing::Faults;
using ::testing::HasSubstr;
using testing::json;
using testing::ReaderJson;
using testing::TableOf;

ProjectConfig ConfigOf(const json& data) { return testing::Read(ReaderJson({}), data).config; }

std::string FaultsOf(const json& data, const json& lines = json::object()) {
  return Faults(ReaderJson({}), data, lines);
}

TEST(ReadProject, EveryKeyArrives) {
  json data = testing::ProjectData();
  data["images"]["gpu"] = "registry.example.org/team/gpu@sha256:00";
  data["python"]["image"] = "gpu";
  data["tables"]["events"] = {{"path", "/data/events/*"}, {"format", "csv"}};
  data["tables"]["old"] = {{"path", "old.feather"}};
  data["parameters"]["day"] = {{"type", "date"}, {"default", "2013-01-31"}};
  data["parameters"]["who"] = {{"type", "str"}};
  const ProjectConfig config = ConfigOf(data);
  EXPECT_EQ(config.name, "demo");
  EXPECT_EQ(config.python.version, "3.11");
  EXPECT_EQ(config.python.image.value().text(), "gpu");
  EXPECT_THAT(config.python.pip, ElementsAre("polars>=1.0"));
  EXPECT_EQ(config.images.size(), 3U);
  EXPECT_EQ(config.tables.at(TableOf("flights")).format, TableFormat::kParquet);
  EXPECT_EQ(config.tables.at(TableOf("events")).format, TableFormat::kCsv);
  EXPECT_EQ(config.tables.at(TableOf("old")).format, TableFormat::kArrow);
  EXPECT_EQ(config.parameters.at(testing::ParameterOf("day")).value,
            ParameterValue(Date{2013, 1, 31}));
  EXPECT_EQ(config.parameters.at(testing::ParameterOf("who")).value, std::nullopt);
}

TEST(ReadProject, UnknownKeysHaveTheirLineAndTheClosestWord) {
  json data = testing::ProjectData();
  data["pyhton"] = {{"version", "3.11"}};
  data["tables"]["flights"]["frmat"] = "csv";
  data["zzzzzz"] = 1;
  EXPECT_EQ(FaultsOf(data, {{"pyhton", 4}, {"tables.flights", 9}, {"tables.flights.frmat", 11}}),
            "error: rundlet.toml: reading `zzzzzz`\n"
            "caused by: there is no such key\n"
            "hint: known here: `project`, `python`, `images`, `index`, `tables` and `parameters`\n"
            "error: rundlet.toml:4: reading `pyhton`\n"
            "caused by: there is no such key\n"
            "hint: did you mean `python`?\n"
            "error: rundlet.toml:11: reading `tables.flights.frmat`\n"
            "caused by: there is no such key\n"
            "hint: did you mean `format`?\n");
}

TEST(ReadProject, IndexesAreOfSomePackages) {
  json data = testing::ProjectData();
  data["index"] = {{"url", "https://example.org/simple"}};
  EXPECT_EQ(FaultsOf(data, {{"index", 3}}),
            "error: rundlet.toml:3: reading `index`\n"
            "caused by: it is not a list of indexes\n"
            "hint: begin each with a line [[index]]\n");
  data["index"] = json::array({{{"name", "own"}, {"url", "https://example.org/simple"}}});
  EXPECT_EQ(FaultsOf(data, {{"index[0]", 3}}),
            "error: rundlet.toml:3: reading `index[0]`\n"
            "caused by: it has no `packages`\n"
            "hint: an index has a name, a url, and the packages that come from it\n");
  data["index"][0]["packages"] = json::array({"torch", 5});
  EXPECT_THAT(FaultsOf(data, {{"index[0]", 3}}),
              ::testing::HasSubstr("it holds what is not the name of a package"));
  data["index"][0]["packages"] = json::array({"torch"});
  EXPECT_EQ(FaultsOf(data), "");
}

TEST(ReadProject, KeysWithDotsKeepTheirLine) {
  json data = testing::ProjectData();
  data["images"]["3.12"] = 5;
  EXPECT_THAT(FaultsOf(data, {{"images.3.12", 7}}),
              HasSubstr("error: rundlet.toml:7: reading `images.\"3.12\"`\n"));
  EXPECT_THAT(FaultsOf(data, {{"images.\"3.12\"", 8}}), HasSubstr("error: rundlet.toml:8: "));
  EXPECT_THAT(FaultsOf(data, {{"images", 6}}), HasSubstr("error: rundlet.toml:6: "));
}

TEST(ReadProject, AVersionIsText) {
  json data = testing::ProjectData();
  data["python"]["version"] = 3.1;
  EXPECT_EQ(FaultsOf(data),
            "error: rundlet.toml: reading `python.version`\n"
            "caused by: it is a number\n"
            "hint: write it as text, version = \"3.11\": the number 3.10 is 3.1\n");
}

TEST(ReadProject, ADefaultWithoutImageIsToldOnce) {
  json data = testing::ProjectData();
  data["python"]["version"] = "3.12";
  EXPECT_EQ(Faults(ReaderJson({testing::ModelJson("a"), testing::ModelJson("b")}), data),
            "error: rundlet.toml: reading `python.version`\n"
            "caused by: [images] has no `3.12`\n"
            "hint: it has `3.11` and `3.13`: use what is there, or add an image that `rundlet "
            "image ls` lists\n");
}

TEST(ReadProject, WrongValuesAreToldAndNotTheStepsFault) {
  const std::vector<std::pair<std::string, json>> cases = {
      {"/project", 1},
      {"/project/name", "a b"},
      {"/project/name", ""},
      {"/project/name", 5},
      {"/python", "3.11"},
      {"/python/version", "3.x"},
      {"/python/version", true},
      {"/python/pip", {{"pandas", "2.2"}}},
      {"/python/pip", {1}},
      {"/python/pip", {"-e ."}},
      {"/python/image", "nope"},
      {"/python/image", 7},
      {"/images", json::array()},
      {"/images/a b", "x"},
      {"/images/3.11", "python 3.11"},
      {"/images/3.11", "--help"},
      {"/images/3.11", ""},
      {"/images/3.11", "a\nb"},
      {"/tables/flights", "data/*.parquet"},
      {"/tables/flights/path", 1},
      {"/tables/flights/path", "data/flights"},
      {"/tables/flights/path", std::string(5000, 'a')},
      {"/tables/flights/format", "xlsx"},
      {"/tables/flights/format", 1},
      {"/tables/fli-ghts", {{"path", "a.csv"}}},
      {"/parameters/year", 2013},
      {"/parameters/year/type", "integer"},
      {"/parameters/year/type", 1},
      {"/parameters/year/default", "2013"},
      {"/parameters/year/default", 1.5},
      {"/parameters/year/default", true},
      {"/parameters/year/default", uint64_t{1} << 63},
      {"/parameters/a b", {{"type", "int"}}},
  };
  json model = testing::ModelJson("a", {"flights"});
  model["parameters"] = {{{"argument", "year"}, {"name", "year"}, {"line", 1}}};
  for (const auto& [pointer, value] : cases) {
    const std::string text =
        Faults(ReaderJson({model}), testing::With(testing::ProjectData(), pointer, value));
    EXPECT_THAT(text, HasSubstr("error: rundlet.toml: reading `"))
        << pointer << " " << value.dump().substr(0, 60);
    EXPECT_EQ(text.find("pipeline.py"), text.npos) << text;
  }
}

TEST(ReadProject, MissingMembers) {
  json data = testing::ProjectData();
  data["tables"]["flights"].erase("path");
  data["parameters"]["year"].erase("type");
  EXPECT_EQ(FaultsOf(data),
            "error: rundlet.toml: reading `parameters.year`\n"
            "caused by: it has no `type`\n"
            "hint: add type = \"int\", \"float\", \"str\", \"bool\" or \"date\"\n"
            "error: rundlet.toml: reading `tables.flights`\n"
            "caused by: it has no `path`\n"
            "hint: add path = \"data/*.parquet\"\n");
}

TEST(ReadProject, DocumentsOfAnotherShape) {
  for (const char* text : {"[]", "{}", "x", R"({"data": 1, "lines": {}})", R"({"data": {}})",
                           R"({"data": {}, "lines": []})"}) {
    try {
      ReadPipeline(ReaderJson({}).dump(), text);
      ADD_FAILURE() << text;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::kInvalid) << text;
    }
  }
}

}  // namespace
}  // namespace rundlet::plans
