#include "plans/show/lanes.h"

#include <algorithm>
#include <cstdint>

namespace rundlet::plans {
namespace {

constexpr size_t kFree = SIZE_MAX;

class Drawing {
 public:
  explicit Drawing(const std::vector<LaneNode>& nodes)
      : nodes_(nodes), readers_(nodes.size()), lane_of_(nodes.size()) {
    for (const LaneNode& node : nodes) {
      for (const size_t input : node.inputs) ++readers_[input];
    }
  }

  LaneRow Add(size_t index) {
    const LaneNode& node = nodes_[index];
    std::vector<size_t> inputs;  // lanes
    for (const size_t input : node.inputs) {
      --readers_[input];
      inputs.push_back(lane_of_[input]);
    }
    std::sort(inputs.begin(), inputs.end());
    const size_t own = OwnLane(inputs);
    LaneRow row;
    row.first = FirstRow(inputs, own, node.mark);
    for (const size_t lane : inputs) {
      if (readers_[owners_[lane]] == 0) owners_[lane] = kFree;
    }
    owners_[own] = readers_[index] > 0 ? index : kFree;
    lane_of_[index] = own;
    for (const size_t owner : owners_) row.rest += owner == kFree ? "  " : "│ ";
    TrimRight(row.rest);
    return row;
  }

  size_t lanes() const { return owners_.size(); }

 private:
  // Right of all inputs, so that lines run from left to right; or straight below the rightmost one
  // when nobody else reads that.
  size_t OwnLane(const std::vector<size_t>& inputs) {
    size_t lane = 0;
    if (!inputs.empty()) {
      lane = inputs.back();
      if (readers_[owners_[lane]] == 0) return lane;
      ++lane;
    }
    while (lane < owners_.size() && owners_[lane] != kFree) ++lane;
    if (lane >= owners_.size()) owners_.resize(lane + 1, kFree);
    return lane;
  }

  std::string FirstRow(const std::vector<size_t>& inputs, size_t own,
                       const std::string& mark) const {
    std::string row;
    const size_t begin = inputs.empty() ? own : inputs.front();
    for (size_t lane = 0; lane < owners_.size(); ++lane) {
      const bool on_line = lane >= begin && lane < own;
      if (lane == own) {
        row += mark;
      } else if (std::binary_search(inputs.begin(), inputs.end(), lane)) {
        const bool ends = readers_[owners_[lane]] == 0;
        row += lane == begin ? (ends ? "└" : "├") : (ends ? "┴" : "┼");
      } else if (owners_[lane] != kFree) {
        row += "│";
      } else {
        row += on_line ? "─" : " ";
      }
      row += on_line ? "─" : " ";
    }
    TrimRight(row);
    return row;
  }

  static void TrimRight(std::string& row) { row.erase(row.find_last_not_of(' ') + 1); }

  const std::vector<LaneNode>& nodes_;
  std::vector<size_t> readers_;  // by node: those still to come
  std::vector<size_t> lane_of_;  // by node
  std::vector<size_t> owners_;   // by lane: the node whose table runs in it
};

}  // namespace

std::optional<std::vector<LaneRow>> DrawLanes(const std::vector<LaneNode>& nodes,
                                              size_t max_lanes) {
  Drawing drawing(nodes);
  std::vector<LaneRow> rows;
  rows.reserve(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    rows.push_back(drawing.Add(i));
    if (drawing.lanes() > max_lanes) return std::nullopt;
  }
  return rows;
}

}  // namespace rundlet::plans
