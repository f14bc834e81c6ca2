// pylock.toml, kept locks and requirements: refused in words, or values that are written and read
// back the same.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "rootfs/requirements/lock.h"
#include "rootfs/requirements/resolver_protocol.h"
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
    const auto replace = nlohmann::json::error_handler_t::replace;
    const std::string document = worker::TomlToJson(text).dump(-1, ' ', false, replace);
    const Lock lock = ReadLockDocument(document, {});
    Require(DecodeLock(EncodeLock(lock)) == lock);
  });
  Try([&] {
    const Lock lock = DecodeLock(text);
    Require(DecodeLock(EncodeLock(lock)) == lock);
  });
  Try([&] {
    const Requirement requirement = ParseRequirement(text);
    const std::string line = requirement.Text();
    Require(line.find_first_of("\n\r") == std::string::npos && !line.starts_with('-'));
    // Only a wheel that is named has a place; uv is told another one of it.
    if (requirement.url.empty() && requirement.path.empty())
      Require(line.find_first_of("@/") == std::string::npos);
    if (requirement.path.empty()) Require(ParseRequirement(line) == requirement);
  });
  Try([&] { throw ExplainResolveFailure(text); });
  return 0;
}
