#include "plans/show/display_order.h"

#include <algorithm>
#include <queue>
#include <set>
#include <utility>

namespace rundlet::plans {
namespace {

class DisplayOrder {
 public:
  explicit DisplayOrder(const std::vector<std::vector<size_t>>& inputs)
      : inputs_(inputs), readers_(inputs.size()), waiting_(inputs.size()) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      for (const size_t input : inputs[i]) readers_[input].push_back(i);
    }
  }

  std::vector<size_t> Run() {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      waiting_[i] = static_cast<size_t>(std::count_if(inputs_[i].begin(), inputs_[i].end(),
                                                      [&](size_t input) { return !Waits(input); }));
      if (waiting_[i] == 0 && !Waits(i)) ready_.emplace(0, i);
    }
    while (!ready_.empty()) {
      const size_t entry = ready_.top().second;
      ready_.pop();
      for (const size_t input : inputs_[entry]) {
        if (Waits(input) && !shown_.contains(input)) Show(input);
      }
      Show(entry);
      for (const size_t reader : readers_[entry]) {
        if (--waiting_[reader] == 0) ready_.emplace(order_.size(), reader);
      }
    }
    return std::move(order_);
  }

 private:
  // The time when it became ready, and the entry.
  using Ready = std::pair<size_t, size_t>;
  struct LaterThenByName {  // entries are sorted by name
    bool operator()(const Ready& a, const Ready& b) const {
      return a.first != b.first ? a.first < b.first : a.second > b.second;
    }
  };

  bool Waits(size_t entry) const { return inputs_[entry].empty() && !readers_[entry].empty(); }

  void Show(size_t entry) {
    shown_.insert(entry);
    order_.push_back(entry);
  }

  const std::vector<std::vector<size_t>>& inputs_;
  std::vector<std::vector<size_t>> readers_;
  std::vector<size_t> waiting_;  // for inputs that do not wait themselves
  std::priority_queue<Ready, std::vector<Ready>, LaterThenByName> ready_;
  std::set<size_t> shown_;
  std::vector<size_t> order_;
};

}  // namespace

std::vector<size_t> OrderForDisplay(const std::vector<std::vector<size_t>>& inputs) {
  return DisplayOrder(inputs).Run();
}

}  // namespace rundlet::plans
