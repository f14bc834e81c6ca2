// Private: a TOML file as the worker `parse-toml` gives it, read with every fault told at its line.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plans/invalid_pipeline.h"
#include "plans/pipeline.h"

namespace rundlet::plans {

// Where a value is: {"tables", "flights", "path"}.
using TomlPath = std::vector<std::string>;

class TomlDocument {
 public:
  static constexpr size_t kMaxEntries = 10'000;  // of a table

  // `lines` maps dotted keys to lines. All three must outlive the object; what is wrong is added to
  // `problems`.
  TomlDocument(std::string_view file, const nlohmann::json& lines, std::vector<Problem>& problems);

  // Of the value, else of the nearest table around it.
  Place PlaceOf(const TomlPath& path) const;
  void Report(const TomlPath& path, std::string cause, std::string hint = {});
  // Reports every key of the table at `path` that is not known.
  void CheckKeys(const nlohmann::json& table, const TomlPath& path,
                 std::initializer_list<const char*> known);
  // The member of `parent` at the end of `path`, when it is there and is a table.
  const nlohmann::json* Table(const nlohmann::json& parent, const TomlPath& path);
  // The member of `table` at the end of `path`, when it is there and is text of one line and 1 to
  // `limit` bytes. Anything else there is reported, with the hint.
  std::optional<std::string> Text(const nlohmann::json& table, const TomlPath& path, size_t limit,
                                  const std::string& hint = {});

 private:
  std::string file_;
  const nlohmann::json& lines_;
  std::vector<Problem>& problems_;
};

}  // namespace rundlet::plans
