#include "plans/shown_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace rundlet::plans {
namespace {

bool StartsCodePoint(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

// The length in bytes of the first `columns` code points.
size_t BytesOf(std::string_view text, size_t columns) {
  size_t seen = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (StartsCodePoint(text[i]) && seen++ == columns) return i;
  }
  return text.size();
}

}  // namespace

std::string OneLine(std::string_view text) {
  std::string line = base::Printable(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return line;
}

size_t Columns(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), StartsCodePoint));
}

std::string Cut(std::string_view text, size_t columns) {
  if (Columns(text) <= columns) return std::string(text);
  if (columns == 0) return {};
  return std::string(text.substr(0, BytesOf(text, columns - 1))) + "…";
}

std::vector<std::string> Wrap(std::string_view text, size_t columns) {
  std::vector<std::string> lines;
  while (Columns(text) > columns) {
    const size_t end = BytesOf(text, columns);
    size_t space = text.rfind(' ', end);
    if (space == std::string_view::npos || space == 0) space = end;  // one long word
    lines.emplace_back(text.substr(0, space));
    text.remove_prefix(space);
    text = base::Trim(text);
  }
  if (!text.empty() || lines.empty()) lines.emplace_back(text);
  return lines;
}

std::string NameSome(const std::vector<std::string>& names, size_t shown) {
  std::string text;
  const size_t count = std::min(names.size(), shown);
  for (size_t i = 0; i < count; ++i) {
    const bool last = i + 1 == names.size();
    if (i > 0) text += last ? " and " : ", ";
    text += fmt::format("`{}`", names[i]);
  }
  if (count < names.size()) text += fmt::format(" and {} more", names.size() - count);
  return text;
}

std::string Count(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace rundlet::plans
