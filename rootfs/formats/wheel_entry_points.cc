#include "rootfs/formats/wheel_entry_points.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kScriptLimit = 10'000;

bool IsAlnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

bool IsScriptName(std::string_view name) {
  return !name.empty() && name.size() <= 200 && (IsAlnum(name.front()) || name.front() == '_') &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return IsAlnum(c) || std::string_view("._+-").find(c) != std::string_view::npos;
         });
}

bool IsDottedName(std::string_view text) {
  const std::vector<std::string> parts = base::Split(text, '.');
  return std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
    return !part.empty() && std::isdigit(static_cast<unsigned char>(part.front())) == 0 &&
           std::all_of(part.begin(), part.end(), [](char c) { return IsAlnum(c) || c == '_'; });
  });
}

// Follows Python's configparser with delimiters=("=",): full-line comments, continuation by deeper
// indentation.
class EntryPointReader {
 public:
  explicit EntryPointReader(std::string_view text) : rest_(text) {}

  std::vector<EntryPointScript> Read() {
    if (rest_.find('\0') != rest_.npos) Refuse("there is a NUL byte");
    if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
    while (!rest_.empty()) {
      ++line_;
      const size_t end = std::min(rest_.find('\n'), rest_.size());
      std::string_view line = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      Line(line);
    }
    std::sort(scripts_.begin(), scripts_.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    for (size_t i = 1; i < scripts_.size(); ++i) {
      if (scripts_[i - 1].name == scripts_[i].name && !(scripts_[i - 1] == scripts_[i])) {
        Refuse(fmt::format("script `{}` is there twice with different targets", scripts_[i].name));
      }
    }
    scripts_.erase(std::unique(scripts_.begin(), scripts_.end()), scripts_.end());
    return std::move(scripts_);
  }

 private:
  [[noreturn]] void Refuse(std::string cause) const {
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("reading line {} of entry_points.txt", line_))
        .Because(std::move(cause));
  }

  void Line(std::string_view line) {
    const std::string_view content = base::Trim(line);
    if (content.empty() || content.front() == '#' || content.front() == ';') return;
    const size_t indent = static_cast<size_t>(content.data() - line.data());
    if (option_indent_.has_value() && indent > *option_indent_) {
      if (in_scripts_) Refuse("a script's value goes over several lines");
      return;
    }
    if (content.front() == '[') {
      const size_t close = content.find(']');
      if (close == content.npos) Refuse("a section header is not closed");
      const std::string_view section = content.substr(1, close - 1);
      in_scripts_ = section == "console_scripts" || section == "gui_scripts";
      option_indent_.reset();
      return;
    }
    option_indent_ = indent;
    if (in_scripts_) Script(content);
  }

  void Script(std::string_view content) {
    const size_t equals = content.find('=');
    if (equals == content.npos) Refuse("there is no `=`");
    std::string_view value = base::Trim(content.substr(equals + 1));
    // "[extra]" after the target is allowed and has no meaning for the script.
    if (const size_t bracket = value.find('['); bracket != value.npos && value.ends_with(']')) {
      value = base::Trim(value.substr(0, bracket));
    }
    const size_t colon = value.find(':');
    if (colon == value.npos) Refuse("a script's target is not `module:function`");
    EntryPointScript script{.name = std::string(base::Trim(content.substr(0, equals))),
                            .module = std::string(base::Trim(value.substr(0, colon))),
                            .attribute = std::string(base::Trim(value.substr(colon + 1)))};
    if (!IsScriptName(script.name)) {
      Refuse(fmt::format("`{}` cannot be the name of a script", base::Printable(script.name)));
    }
    if (!IsDottedName(script.module) || !IsDottedName(script.attribute)) {
      Refuse(fmt::format("the target of script `{}` is not `module:function`", script.name));
    }
    if (scripts_.size() == kScriptLimit) Refuse("there are too many scripts");
    scripts_.push_back(std::move(script));
  }

  std::string_view rest_;
  size_t line_ = 0;
  bool in_scripts_ = false;
  std::optional<size_t> option_indent_;  // of the last option, when there is one in this section
  std::vector<EntryPointScript> scripts_;
};

}  // namespace

std::vector<EntryPointScript> ParseEntryPoints(std::string_view text) {
  return EntryPointReader(text).Read();
}

std::string ScriptText(const EntryPointScript& script, std::string_view python) {
  const std::string import = script.attribute.substr(0, script.attribute.find('.'));
  // The bytes uv writes, so that an installation can be compared with its.
  return fmt::format(
      "#!{}\n"
      "# -*- coding: utf-8 -*-\n"
      "import sys\n"
      "from {} import {}\n"
      "if __name__ == \"__main__\":\n"
      "    if sys.argv[0].endswith(\"-script.pyw\"):\n"
      "        sys.argv[0] = sys.argv[0][:-11]\n"
      "    elif sys.argv[0].endswith(\".exe\"):\n"
      "        sys.argv[0] = sys.argv[0][:-4]\n"
      "    sys.exit({}())\n",
      python, script.module, import, script.attribute);
}

}  // namespace rundlet::rootfs
