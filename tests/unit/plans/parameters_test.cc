#include "plans/parameters.h"

#include <gtest/gtest.h>

#include "tests/unit/plans/documents.h"

namespace rundlet::plans {
namespace {

using testing::json;
using testing::ParameterOf;

TEST(Date, TakesRealDaysOnly) {
  for (const char* good : {"2013-01-31", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"}) {
    ASSERT_TRUE(Date::Parse(good)) << good;
    EXPECT_EQ(Date::Parse(good)->text(), good);
  }
  for (const char* bad :
       {"2013-02-29", "1900-02-29", "2013-13-01", "2013-00-01", "2013-04-31", "2013-1-1",
        "20130101", "0000-01-01", "2013-01-1x", "-013-01-01", "2013-01-01 ", "2013-01--1", ""}) {
    EXPECT_FALSE(Date::Parse(bad)) << bad;
  }
}

struct Case {
  ParameterType type;
  std::string_view text;
  bool good;
};

TEST(Parameters, ParseStrictly) {
  using enum ParameterType;
  for (const Case& c : {Case{kInt, "2013", true},
                        {kInt, "-9223372036854775808", true},
                        {kInt, "9223372036854775808", false},
                        {kInt, "+1", false},
                        {kInt, " 1", false},
                        {kInt, "1.0", false},
                        {kInt, "0x10", false},
                        {kInt, "", false},
                        {kFloat, "0.5", true},
                        {kFloat, "-1e-3", true},
                        {kFloat, "7", true},
                        {kFloat, "nan", false},
                        {kFloat, "inf", false},
                        {kFloat, "1e999", false},
                        {kFloat, "1,5", false},
                        {kStr, "", true},
                        {kStr, "a b\n", true},
                        {kStr, std::string_view("a\0b", 3), false},
                        {kStr, "\xff", false},
                        {kBool, "true", true},
                        {kBool, "True", false},
                        {kBool, "1", false},
                        {kDate, "2013-01-31", true},
                        {kDate, "2013-01-31T00:00:00", false}}) {
    const auto value = ParseParameter(c.type, c.text);
    EXPECT_EQ(value.has_value(), c.good) << NameOf(c.type) << " " << c.text;
    if (!value) continue;
    EXPECT_EQ(TypeOf(*value), c.type);
    EXPECT_EQ(ParseParameter(c.type, ToText(*value)), value) << "text form of " << c.text;
  }
  EXPECT_FALSE(ParseParameter(kStr, std::string((64 << 10) + 1, 'x')));
}

Pipeline WithParameters() {
  json data = testing::ProjectData();
  data["parameters"] = {{"day", {{"type", "date"}}},
                        {"year", {{"type", "int"}, {"default", 2013}}},
                        {"share", {{"type", "float"}, {"default", 1}}},
                        {"strict", {{"type", "bool"}, {"default", true}}}};
  return testing::Read(testing::ReaderJson({}), data);
}

TEST(BindParameters, GivenElseDefault) {
  const ParameterValues values =
      BindParameters(WithParameters(), {{"day", "2014-05-06"}, {"year", "2014"}});
  EXPECT_EQ(values.size(), 4U);
  EXPECT_EQ(values.at(ParameterOf("day")), ParameterValue(Date{2014, 5, 6}));
  EXPECT_EQ(values.at(ParameterOf("year")), ParameterValue(int64_t{2014}));
  EXPECT_EQ(values.at(ParameterOf("share")), ParameterValue(1.0));
  EXPECT_EQ(values.at(ParameterOf("strict")), ParameterValue(true));
}

TEST(BindParameters, TellsEverythingThatIsWrong) {
  try {
    BindParameters(WithParameters(),
                   {{"yaer", "1"}, {"year", "x"}, {"share", "1"}, {"share", "2"}, {"%", ""}});
    FAIL();
  } catch (const InvalidPipeline& error) {
    EXPECT_EQ(error.Render(),
              "error: setting parameter `%`\n"
              "caused by: the pipeline has no parameter of that name\n"
              "hint: it has `day`, `share`, `strict` and `year`\n"
              "error: setting parameter `share`\n"
              "caused by: it is given more than once\n"
              "error: setting parameter `yaer`\n"
              "caused by: the pipeline has no parameter of that name\n"
              "hint: did you mean `year`?\n"
              "error: setting parameter `year` to `x`\n"
              "caused by: it is of type int: a whole number of 64 bits, such as 2013\n"
              "error: rundlet.toml: parameter `day` has no value\n"
              "caused by: it has no default, and none was given\n"
              "hint: give one: --param day=...\n");
  }
}

}  // namespace
}  // namespace rundlet::plans
