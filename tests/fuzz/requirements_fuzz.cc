// requirements.txt, the documents of other tools and a script's metadata: refused in words, or
// requirements that uv reads as they are meant.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "rootfs/requirements/project_documents.h"
#include "rootfs/requirements/requirements_text.h"
#include "rootfs/worker/wheels/parse_toml.h"
#include "tests/fuzz/check.h"

namespace {

using namespace rundlet::rootfs;  // NOLINT(build/namespaces): a program of one function
using rundlet::fuzz::Require;
using rundlet::fuzz::Try;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Try([&] {
    for (const std::string& requirement : ParseRequirementsText(text).requirements)
      Require(requirement.find('\n') == std::string::npos && !requirement.starts_with('-'));
  });
  Try([&] { FindScriptMetadata(text); });
  Try([&] {
    const auto replace = nlohmann::json::error_handler_t::replace;
    const std::string document = worker::TomlToJson(text).dump(-1, ' ', false, replace);
    Try([&] { Require(ReadPylock(document).closed); });
    Try([&] { ReadDependencies(document, ""); });
    Try([&] { ReadDependencies(document, "dev"); });
    Try([&] { PythonIsWithin("3.11.2", ReadScriptMetadata(document).requires_python); });
  });
  return 0;
}
