// Private: a DAG drawn in text, one lane for each table that somebody further down still reads.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace rundlet::plans {

struct LaneNode {
  std::vector<size_t> inputs;  // nodes before this one; each once
  std::string mark;            // one column
};

struct LaneRow {
  std::string first;  // the row of the node itself; no trailing spaces
  std::string rest;   // every further row of the node
};

// One row for each node. nullopt when it takes more than `max_lanes`.
//   □        flights
//   ├─●      clean
//   │ ├─●    delays
//   └─┴─●    late_share
std::optional<std::vector<LaneRow>> DrawLanes(const std::vector<LaneNode>& nodes, size_t max_lanes);

}  // namespace rundlet::plans
