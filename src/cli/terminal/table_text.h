// Aligned columns for people.
#pragma once

#include <string>
#include <vector>

namespace rundlet::cli {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

class TableText {
 public:
  explicit TableText(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as columns; control characters are replaced.
  void AddRow(std::vector<std::string> cells);
  // Title line and rows, two blanks between columns, no blanks at line ends. Width counts code
  // points.
  std::string Render() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace rundlet::cli
