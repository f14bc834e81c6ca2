// Options whose value is one of a few words.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace rundlet::cli {

// Adds the option `name` ("-o,--output"); `chosen` gets the place of the given word in `words`.
// Parsing another word throws base::Error (kInvalid) that says which there are.
void AddChoice(CLI::App& command, const std::string& name, const std::vector<std::string>& words,
               const std::function<void(size_t)>& chosen, const std::string& description);

}  // namespace rundlet::cli
