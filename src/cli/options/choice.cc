#include "cli/options/choice.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::cli {

void AddChoice(CLI::App& command, const std::string& name, const std::vector<std::string>& words,
               const std::function<void(size_t)>& chosen, const std::string& description) {
  const std::string longest = name.substr(name.rfind(',') + 1);
  const auto choose = [=](const std::string& word) {
    const auto found = std::find(words.begin(), words.end(), word);
    if (found == words.end()) {
      throw base::Error(base::Fault::kInvalid,
                        fmt::format("reading `{} {}`", longest, base::Printable(word)))
          .Because(fmt::format("it is none of `{}`", base::Join(words, "`, `")));
    }
    chosen(static_cast<size_t>(found - words.begin()));
  };
  command.add_option_function<std::string>(name, choose, description)
      ->type_name(base::Join(words, "|"));
}

}  // namespace rundlet::cli
