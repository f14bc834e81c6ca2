#include "plans/show/lanes.h"

#include <gtest/gtest.h>

namespace rundlet::plans {
namespace {

std::string Drawn(const std::vector<std::vector<size_t>>& inputs) {
  std::vector<LaneNode> nodes;
  for (const auto& in : inputs) nodes.push_back({in, "●"});
  std::string text;
  const auto rows = DrawLanes(nodes, 10).value();
  for (const LaneRow& row : rows) text += row.first + "\n" + row.rest + "\n";
  return text;
}

TEST(Lanes, AChainIsOneLane) { EXPECT_EQ(Drawn({{}, {0}, {1}}), "●\n│\n●\n│\n●\n\n"); }

TEST(Lanes, UnconnectedNodesShareALane) { EXPECT_EQ(Drawn({{}, {}}), "●\n\n●\n\n"); }

TEST(Lanes, BranchesTurnOff) {
  EXPECT_EQ(Drawn({{}, {0}, {0}, {0}}),
            "●\n│\n"
            "├─●\n│\n"
            "├─●\n│\n"
            "●\n\n");
}

TEST(Lanes, JoinsComeFromTheLeft) {
  EXPECT_EQ(Drawn({{}, {0}, {0, 1}}),
            "●\n│\n"
            "├─●\n│ │\n"
            "└─●\n\n");
}

TEST(Lanes, CrossingLanesAreNotJoined) {
  // 2 reads 0 past the lane of 1, which 3 reads.
  EXPECT_EQ(Drawn({{}, {}, {0}, {0, 1, 2}}),
            "●\n│\n"
            "│ ●\n│ │\n"
            "├─│─●\n│ │ │\n"
            "└─┴─●\n\n");
}

TEST(Lanes, TooManyLanesAreNotDrawn) {
  std::vector<LaneNode> nodes;
  LaneNode last{{}, "●"};
  for (size_t i = 0; i < 5; ++i) {
    nodes.push_back({{}, "●"});
    last.inputs.push_back(i);
  }
  nodes.push_back(last);
  EXPECT_TRUE(DrawLanes(nodes, 5));
  EXPECT_FALSE(DrawLanes(nodes, 4));
}

}  // namespace
}  // namespace rundlet::plans
