#include "rootfs/images/prober_protocol.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/fs.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

using nlohmann::json;

// Isolated and without site: nothing but the interpreter and its standard library takes part.
constexpr const char* kQuestion = R"(
import json, os, sys, sysconfig
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION")
except (ValueError, OSError, AttributeError):
    libc = None
print(json.dumps({
    "executable": os.path.realpath(sys.executable),
    "version": "%d.%d.%d" % sys.version_info[:3],
    "implementation": sys.implementation.cache_tag,
    "libc": libc or "musl",
    "prefix": sys.base_prefix,
    "stdlib": os.path.realpath(sysconfig.get_path("stdlib")),
}))
)";

bool IsAbsolutePlain(const std::string& path) {
  return path.starts_with('/') && base::IsPlainRelative(std::string_view(path).substr(1));
}

std::string Field(const Image& image, const json& answer, const char* name) {
  const auto field = answer.find(name);
  if (field == answer.end() || !field->is_string())
    throw NoPython(image, fmt::format("its python3 does not tell its {}", name));
  const auto text = field->get<std::string>();
  const bool clean =
      !text.empty() && text.size() < 512 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!clean) throw NoPython(image, fmt::format("its python3 tells an impossible {}", name));
  return text;
}

std::string PathField(const Image& image, const json& answer, const char* name) {
  std::string path = Field(image, answer, name);
  if (!IsAbsolutePlain(path))
    throw NoPython(image, fmt::format("its python3 tells an impossible {}: `{}`", name, path));
  return path;
}

// "3.11.2" and nothing else.
bool IsVersion(const std::string& text) {
  const std::vector<std::string> parts = base::Split(text, '.');
  return parts.size() == 3 && std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
           return !part.empty() && part.size() <= 3 &&
                  std::all_of(part.begin(), part.end(),
                              [](char c) { return c >= '0' && c <= '9'; });
         });
}

}  // namespace

ProgramCommand MakeProbeCommand() {
  return {.argv = {"python3", "-I", "-S", "-B", "-c", kQuestion}};
}

Interpreter ReadProbeAnswer(const Image& image, std::string_view text) {
  const json answer = json::parse(text, nullptr, false);
  if (!answer.is_object())
    throw NoPython(image, "its python3 answers with something else than was asked");
  Interpreter interpreter;
  interpreter.executable = PathField(image, answer, "executable");
  interpreter.version = Field(image, answer, "version");
  interpreter.libc = Field(image, answer, "libc");
  interpreter.prefix = PathField(image, answer, "prefix");
  interpreter.stdlib = PathField(image, answer, "stdlib");
  if (!IsVersion(interpreter.version))
    throw NoPython(image, "its python3 tells an impossible version");
  const std::vector<std::string> version = base::Split(interpreter.version, '.');
  interpreter.tag = version[0] + "." + version[1];
  interpreter.abi = "cp" + version[0] + version[1];
  const std::string implementation = Field(image, answer, "implementation");
  if (implementation != "cpython-" + version[0] + version[1]) {
    throw NoPython(image,
                   fmt::format("its python3 is `{}`; only CPython is supported", implementation));
  }
  interpreter.identity = InterpreterIdentity(image);
  return interpreter;
}

base::Error NoPython(const Image& image, std::string why) {
  return base::Error(base::Fault::kInvalid,
                     fmt::format("looking for Python in image `{}`", image.name))
      .Because(std::move(why));
}

}  // namespace rundlet::rootfs
