// Private: the order in which a picture shows the entries of a DAG.
#pragma once

#include <cstddef>
#include <vector>

namespace rundlet::plans {

// Entries are numbered by name; `inputs` are the entries that each one reads, each once. Inputs
// come first, and everything is close to what it reads, which keeps lanes few and short: of what is
// ready, the reader of the latest entry comes next; what reads nothing waits for its first reader.
std::vector<size_t> OrderForDisplay(const std::vector<std::vector<size_t>>& inputs);

}  // namespace rundlet::plans
