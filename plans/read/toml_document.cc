#include "plans/read/toml_document.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "plans/shown_text.h"

namespace rundlet::plans {
namespace {

using nlohmann::json;

// tables.flights.path; a part with a dot is quoted: images."3.11".
std::string Dotted(const TomlPath& path) {
  std::vector<std::string> parts;
  for (const std::string& part : path) {
    parts.push_back(part.find('.') == std::string::npos ? part : fmt::format("\"{}\"", part));
  }
  return base::Join(parts, ".");
}

std::string Shown(const TomlPath& path) { return Cut(OneLine(Dotted(path)), 200); }

}  // namespace

TomlDocument::TomlDocument(std::string_view file, const json& lines, std::vector<Problem>& problems)
    : file_(file), lines_(lines), problems_(problems) {}

Place TomlDocument::PlaceOf(const TomlPath& path) const {
  for (TomlPath at = path; !at.empty(); at.pop_back()) {
    for (const std::string& key : {base::Join(at, "."), Dotted(at)}) {
      const auto found = lines_.find(key);
      if (found == lines_.end() || !found->is_number_unsigned()) continue;
      const auto line = found->get<uint64_t>();
      return {file_, line <= UINT32_MAX ? static_cast<uint32_t>(line) : 0};
    }
  }
  return {file_, 0};
}

void TomlDocument::Report(const TomlPath& path, std::string cause, std::string hint) {
  Problem problem;
  problem.file = file_;
  problem.line = PlaceOf(path).line;
  problem.message = fmt::format("reading `{}`", Shown(path));
  problem.cause = std::move(cause);
  problem.hint = std::move(hint);
  problems_.push_back(std::move(problem));
}

void TomlDocument::CheckKeys(const json& table, const TomlPath& path,
                             std::initializer_list<const char*> known) {
  const std::vector<std::string> words(known.begin(), known.end());
  for (const auto& [key, value] : table.items()) {
    if (std::find(words.begin(), words.end(), key) != words.end()) continue;
    TomlPath here = path;
    here.push_back(key);
    const std::string close =
        base::ClosestWord(std::string_view(key).substr(0, kMaxNameLength), words);
    Report(here, "there is no such key",
           close.empty() ? fmt::format("known here: {}", NameSome(words, words.size()))
                         : fmt::format("did you mean `{}`?", close));
  }
}

const json* TomlDocument::Table(const json& parent, const TomlPath& path) {
  const auto found = parent.find(path.back());
  if (found == parent.end()) return nullptr;
  if (!found->is_object()) {
    Report(path, "it is not a table", fmt::format("write it as [{}]", Shown(path)));
    return nullptr;
  }
  if (found->size() > kMaxEntries) {
    Report(path, fmt::format("it has {} entries, more than {}", found->size(), kMaxEntries));
    return nullptr;
  }
  return &*found;
}

std::optional<std::string> TomlDocument::Text(const json& table, const TomlPath& path, size_t limit,
                                              const std::string& hint) {
  const auto found = table.find(path.back());
  if (found == table.end()) return std::nullopt;
  const auto* const text = found->get_ptr<const std::string*>();
  if (text == nullptr) {
    Report(path, "it is not text", hint);
  } else if (text->empty() || text->size() > limit) {
    Report(path, fmt::format("it is not between 1 and {} bytes long", limit), hint);
  } else if (OneLine(*text) != *text) {
    Report(path, "it is not text of one line", hint);
  } else {
    return *text;
  }
  return std::nullopt;
}

}  // namespace rundlet::plans
