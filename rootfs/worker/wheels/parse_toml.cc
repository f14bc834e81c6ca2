#include "rootfs/worker/wheels/parse_toml.h"

#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "rootfs/worker/command.h"

namespace rundlet::rootfs::worker {
namespace {

[[noreturn]] void RefuseAsserted() {
  throw base::Error(base::Fault::kInvalid, "reading TOML").Because("it is malformed");
}

}  // namespace
}  // namespace rundlet::rootfs::worker

// toml++ 3.3 asserts what hostile text can make false ("[[["). Without assertions, as in a library
// built for release, the compiler takes them for granted; so its parser is compiled here, with
// assertions that throw.
#undef NDEBUG
#define TOML_HEADER_ONLY 1
#define TOML_ASSERT(condition) ((condition) ? void(0) : ::rundlet::rootfs::worker::RefuseAsserted())
#include <toml++/toml.h>

namespace rundlet::rootfs::worker {
namespace {

constexpr int kDepthLimit = 64;

class Converter {
 public:
  nlohmann::json Convert(const toml::table& table) {
    nlohmann::json data = Table(table, "", 0);
    return {{"data", std::move(data)}, {"lines", std::move(lines_)}};
  }

 private:
  nlohmann::json Table(const toml::table& table, const std::string& path, int depth) {
    nlohmann::json object = nlohmann::json::object();
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const std::string inner = path.empty() ? name : path + "." + name;
      // An implicit table has no place of its own.
      const auto line =
          key.source().begin.line != 0 ? key.source().begin.line : node.source().begin.line;
      lines_[inner] = line;
      object[name] = Node(node, inner, depth + 1);
    }
    return object;
  }

  nlohmann::json Array(const toml::array& array, const std::string& path, int depth) {
    nlohmann::json list = nlohmann::json::array();
    for (size_t i = 0; i < array.size(); ++i) {
      const std::string inner = fmt::format("{}[{}]", path, i);
      lines_[inner] = array[i].source().begin.line;
      list.push_back(Node(array[i], inner, depth + 1));
    }
    return list;
  }

  nlohmann::json Node(const toml::node& node, const std::string& path, int depth) {
    if (depth > kDepthLimit) Refuse(node, "it nests too deeply");
    if (const auto* table = node.as_table()) return Table(*table, path, depth);
    if (const auto* array = node.as_array()) return Array(*array, path, depth);
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* integer = node.as_integer()) return integer->get();
    if (const auto* boolean = node.as_boolean()) return boolean->get();
    if (const auto* number = node.as_floating_point()) {
      if (!std::isfinite(number->get()))
        Refuse(node, fmt::format("`{}` is not a finite number", path));
      return number->get();
    }
    return Time(node);
  }

  static std::string Time(const toml::node& node) {
    std::ostringstream text;  // toml++ prints its dates to streams only
    if (const auto* date = node.as_date()) text << date->get();
    if (const auto* time = node.as_time()) text << time->get();
    if (const auto* both = node.as_date_time()) text << both->get();
    return text.str();
  }

  [[noreturn]] static void Refuse(const toml::node& node, std::string cause) {
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("reading TOML at line {}", node.source().begin.line))
        .Because(std::move(cause));
  }

  nlohmann::json lines_ = nlohmann::json::object();
};

// toml++ writes sentences; our messages are lower case.
std::string LowerFirst(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace

nlohmann::json TomlToJson(std::string_view text) {
  try {
    const toml::table table = toml::parse(text);
    return Converter().Convert(table);
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("reading TOML at line {}, column {}", at.line, at.column))
        .Because(LowerFirst(base::Printable(error.description())));
  }
}

// Request: {"text"}. Answer: as TomlToJson.
nlohmann::json ParseToml(const nlohmann::json& request) {
  return TomlToJson(request.at("text").get_ref<const std::string&>());
}

}  // namespace rundlet::rootfs::worker
