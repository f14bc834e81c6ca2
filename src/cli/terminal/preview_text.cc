#include "cli/terminal/preview_text.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "cli/terminal/table_text.h"

namespace rundlet::cli {
namespace {

bool IsNumber(const std::string& type) {
  for (const char* prefix : {"int", "uint", "float", "double", "halffloat", "decimal"}) {
    if (type.starts_with(prefix)) return true;
  }
  return false;
}

// Each row is as wide as its titles.
std::string Title(std::string name) {
  constexpr size_t kLongest = 200;  // bytes
  if (name.size() <= kLongest) return name;
  size_t end = kLongest;
  while ((static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end;  // between characters
  return name.substr(0, end) + "...";
}

std::string CellText(const nlohmann::json& cell) {
  if (cell.is_null()) return "";
  if (cell.is_string()) return cell.get<std::string>();
  if (cell.is_number_float()) return fmt::format("{:.6g}", cell.get<double>());
  return cell.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string PreviewText(const engine::Preview& preview) {
  std::vector<Column> columns;
  for (const auto& [name, type] : preview.columns) {
    columns.push_back({Title(name), IsNumber(type) ? Align::kRight : Align::kLeft});
  }
  const nlohmann::json rows = nlohmann::json::parse(preview.rows, nullptr, false);
  TableText table(columns);
  size_t shown = 0;
  for (const nlohmann::json& row : rows) {
    if (!row.is_array() || row.size() != columns.size()) continue;
    std::vector<std::string> cells;
    for (const nlohmann::json& cell : row) cells.push_back(CellText(cell));
    table.AddRow(std::move(cells));
    ++shown;
  }
  std::string text = fmt::format("{}: {} rows\n", preview.step, base::Grouped(preview.total_rows));
  for (const std::string& line : base::Split(base::Trim(table.Render()), '\n'))
    text += "  " + line + "\n";
  if (shown < preview.total_rows)
    text += fmt::format("  ... {} more\n", base::Grouped(preview.total_rows - shown));
  return text;
}

}  // namespace rundlet::cli
