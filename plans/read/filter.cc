#include "plans/read/filter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "plans/read/document.h"

namespace rundlet::plans {
namespace {

using nlohmann::json;

constexpr size_t kMaxFilterDepth = 256;
constexpr size_t kMaxNodes = 10'000;
constexpr size_t kMaxText = 64 << 10;  // bytes of a column's name or of a literal

// Rebuilds the tree from what it understands, so that nothing else can travel on.
class Checker {
 public:
  json Node(const json& node) {
    if (++nodes_ > kMaxNodes) BeyondLimit("filter", "has too many terms");
    if (++depth_ > kMaxFilterDepth) BeyondLimit("filter", "is nested too deeply");
    json checked = Operation(node, TextMember(node, "op", 16));
    --depth_;
    return checked;
  }

  std::vector<std::string> columns() const { return {columns_.begin(), columns_.end()}; }

 private:
  json Operation(const json& node, const std::string& op) {
    static constexpr std::array<std::string_view, 6> kComparisons = {"<",  "<=", ">",
                                                                     ">=", "=",  "!="};
    if (op == "and" || op == "or") return {{"op", op}, {"args", Arguments(node)}};
    if (op == "not") return {{"op", op}, {"arg", Node(Member(node, "arg"))}};
    if (op == "in") return {{"op", op}, {"column", Column(node)}, {"values", Values(node)}};
    if (op == "is_null" || op == "is_not_null") return {{"op", op}, {"column", Column(node)}};
    if (op == "between") {
      return {{"op", op},
              {"column", Column(node)},
              {"low", Literal(Member(node, "low"))},
              {"high", Literal(Member(node, "high"))}};
    }
    if (std::find(kComparisons.begin(), kComparisons.end(), op) == kComparisons.end()) {
      BadShape("op", "is no operator of a filter");
    }
    return {{"op", op}, {"column", Column(node)}, {"value", Literal(Member(node, "value"))}};
  }

  json Arguments(const json& node) {
    json checked = json::array();
    for (const json& argument : ListMember(node, "args", kMaxNodes))
      checked.push_back(Node(argument));
    if (checked.empty()) BadShape("args", "is empty");
    return checked;
  }

  json Values(const json& node) {
    json checked = json::array();
    for (const json& value : ListMember(node, "values", kMaxNodes))
      checked.push_back(Literal(value));
    if (checked.empty()) BadShape("values", "is empty");
    return checked;
  }

  std::string Column(const json& node) {
    std::string column = TextMember(node, "column", kMaxText);
    if (column.empty()) BadShape("column", "is empty");
    columns_.insert(column);
    return column;
  }

  static json Literal(const json& value) {
    if (value.is_boolean()) return value;
    if (value.is_string()) return AsText(value, "value", kMaxText);
    if (value.is_number_unsigned() && value.get<uint64_t>() > std::numeric_limits<int64_t>::max()) {
      BeyondLimit("value", "does not fit 64 bits");
    }
    if (!value.is_number()) BadShape("value", "is neither a number, text nor a boolean");
    return value;
  }

  size_t nodes_ = 0;
  size_t depth_ = 0;
  std::set<std::string> columns_;
};

}  // namespace

CheckedFilter CheckFilter(const json& filter) {
  Checker checker;
  const json checked = checker.Node(filter);
  return {checked.dump(), checker.columns()};
}

}  // namespace rundlet::plans
